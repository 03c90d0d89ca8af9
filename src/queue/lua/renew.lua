-- Promise: prolongs the leases that still stand; a lost one stays lost.
-- KEYS:    search, leases
-- ARGV:    generation, milliseconds of the lease, tokens
-- Returns: the tokens that are lost
local search, leases = KEYS[1], KEYS[2]
if redis.call('HGET', search, 'generation') ~= ARGV[1] then return redis.error_reply('GENERATION changed') end
local time = redis.call('TIME')
local expiry = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[2])
local lost = {}
for i = 3, #ARGV do
  if redis.call('ZSCORE', leases, ARGV[i]) then
    redis.call('ZADD', leases, 'XX', expiry, ARGV[i])
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
