-- Promise: proposed points that were never seen enter a proposal list, once; at the search's limit they are only counted.
-- KEYS:    search, seen, waiting, proposal list; in a rebuild also its lock
-- ARGV:    generation, in a rebuild the lock's token instead; most points of the search (-1: no limit), pairs: hash, element
-- Returns: how many entered, how many the limit kept out; in a rebuild -1 first when the lock is another's
-- Uses:    enter
local search, seen, waiting, list, lock = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local most_points = tonumber(ARGV[2])
if lock then
  if redis.call('GET', lock) ~= ARGV[1] then return { -1, 0 } end
elseif redis.call('HGET', search, 'generation') ~= ARGV[1] then
  return redis.error_reply('GENERATION changed')
end
local entered, dropped = enter(seen, waiting, list, most_points, 3)
if lock and dropped > 0 then redis.call('HINCRBY', search, 'dropped', dropped) end
if not lock and entered > 0 then
  redis.call('HINCRBY', search, 'known', entered)
  redis.call('HINCRBY', search, 'proposed', entered)
  redis.call('HINCRBY', search, 'moves', 1)
end
return { entered, dropped }
