-- Promise: news that runs began, for SQL; only of leases that stand, so that no news follows its own completion.
-- KEYS:    search, leased, running_sql_Q
-- ARGV:    generation, then pairs: token, element
-- Returns: how many were told
local search, leased, running = KEYS[1], KEYS[2], KEYS[3]
if redis.call('HGET', search, 'generation') ~= ARGV[1] then return redis.error_reply('GENERATION changed') end
local told = 0
for i = 2, #ARGV, 2 do
  if redis.call('HEXISTS', leased, ARGV[i]) == 1 then
    redis.call('LPUSH', running, ARGV[i + 1])
    told = told + 1
  end
end
return told
