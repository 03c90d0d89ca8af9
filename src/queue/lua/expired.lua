-- Promise: names leases that expired. After a silence of Redis, or of all who sweep, nothing counts as expired before one
--          whole lease has passed with sweeps in it: an outage alone costs no run.
-- KEYS:    search, leases, leased
-- ARGV:    generation, milliseconds of the lease, milliseconds between sweeps, most leases
-- Returns: pairs: token, element
local search, leases, leased = KEYS[1], KEYS[2], KEYS[3]
local lifetime, interval = tonumber(ARGV[2]), tonumber(ARGV[3])
if redis.call('HGET', search, 'generation') ~= ARGV[1] then return redis.error_reply('GENERATION changed') end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local swept = tonumber(redis.call('HGET', search, 'swept_at') or '0')
redis.call('HSET', search, 'swept_at', now)
if now - swept > 3 * interval then redis.call('HSET', search, 'reclaim_from', now + lifetime) end
if now < tonumber(redis.call('HGET', search, 'reclaim_from') or '0') then return {} end
local found = {}
for _, token in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, ARGV[4])) do
  local element = redis.call('HGET', leased, token)
  if element then
    found[#found + 1] = token
    found[#found + 1] = element
  end
end
return found
