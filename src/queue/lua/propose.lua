-- Promise: proposed points that were never seen enter a proposal list, once; at the search's limit they are only counted.
-- KEYS:    search, seen, waiting, proposal list; in a rebuild also its lock
-- ARGV:    generation, in a rebuild the lock's token instead; most points of the search (-1: no limit), pairs: hash, element
-- Returns: how many entered, how many the limit kept out; in a rebuild -1 first when the lock is another's
local search, seen, waiting, list, lock = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local most_points = tonumber(ARGV[2])
if lock then
  if redis.call('GET', lock) ~= ARGV[1] then return { -1, 0 } end
elseif redis.call('HGET', search, 'generation') ~= ARGV[1] then
  return redis.error_reply('GENERATION changed')
end
local size = redis.call('SCARD', seen)
local entered, dropped = 0, 0
local chunk = 1000
for from = 3, #ARGV, 2 * chunk do
  local hashes, fresh, elements, met = {}, {}, {}, {}
  for i = from, math.min(from + 2 * chunk, #ARGV) - 1, 2 do hashes[#hashes + 1] = ARGV[i] end
  for i, there in ipairs(redis.call('SMISMEMBER', seen, unpack(hashes))) do
    if there == 0 and not met[hashes[i]] then
      met[hashes[i]] = true
      if most_points >= 0 and size + entered >= most_points then
        dropped = dropped + 1
      else
        entered = entered + 1
        fresh[#fresh + 1] = hashes[i]
        elements[#elements + 1] = ARGV[from + 2 * i - 1]
      end
    end
  end
  if #fresh > 0 then
    redis.call('SADD', seen, unpack(fresh))
    redis.call('SADD', waiting, unpack(fresh))
    redis.call('LPUSH', list, unpack(elements))
  end
end
if not lock and entered > 0 then
  redis.call('HINCRBY', search, 'known', entered)
  redis.call('HINCRBY', search, 'proposed', entered)
  redis.call('HINCRBY', search, 'moves', 1)
end
return { entered, dropped }
