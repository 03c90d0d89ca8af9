-- Promise: names leases that expired. After a silence of Redis, or of all who sweep, nothing counts as expired before one
--          whole lease has passed with sweeps in it: an outage alone costs no run. No lease, and no such wait, ends later than one
--          lease from now: a later time is of before Redis's clock was set back.
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
local latest = now + lifetime
for _, token in ipairs(redis.call('ZRANGEBYSCORE', leases, '(' .. latest, '+inf')) do
  redis.call('ZADD', leases, latest, token)
end
local reclaim_from = tonumber(redis.call('HGET', search, 'reclaim_from') or '0')
if now - swept > 3 * interval or reclaim_from > latest then
  reclaim_from = latest
  redis.call('HSET', search, 'reclaim_from', reclaim_from)
end
if now < reclaim_from then return {} end
local found = {}
for _, token in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, ARGV[4])) do
  local element = redis.call('HGET', leased, token)
  if element then
    found[#found + 1] = token
    found[#found + 1] = element
  end
end
return found
