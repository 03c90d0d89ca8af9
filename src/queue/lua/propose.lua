-- Promise: proposed points that were never seen enter a proposal list, once; at the search's limit they are only counted.
-- KEYS:    search, seen, waiting, proposal list
-- ARGV:    generation ('' = none stands: the caller rebuilds), most points of the search (-1: no limit), pairs: hash, element
-- Returns: how many entered, how many the limit kept out
local search, seen, waiting, list = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local generation, most_points = ARGV[1], tonumber(ARGV[2])
if (redis.call('HGET', search, 'generation') or '') ~= generation then return redis.error_reply('GENERATION changed') end
local entered, dropped = 0, 0
for i = 3, #ARGV, 2 do
  if redis.call('SISMEMBER', seen, ARGV[i]) == 0 then
    if most_points >= 0 and redis.call('SCARD', seen) >= most_points then
      dropped = dropped + 1
    else
      redis.call('SADD', seen, ARGV[i])
      redis.call('SADD', waiting, ARGV[i])
      redis.call('LPUSH', list, ARGV[i + 1])
      entered = entered + 1
    end
  end
end
if generation ~= '' and entered > 0 then
  redis.call('HINCRBY', search, 'known', entered)
  redis.call('HINCRBY', search, 'proposed', entered)
  redis.call('HINCRBY', search, 'moves', 1)
end
return { entered, dropped }
