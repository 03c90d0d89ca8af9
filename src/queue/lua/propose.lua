-- Promise: proposed points that were never seen enter a proposal list, once; at the search's limit they are only counted.
-- KEYS:    search, seen, waiting, proposal list; of a rebuild its lock too
-- ARGV:    generation, or the lock's token; most points of the search (-1: no limit), pairs: hash, element
-- Returns: how many entered, how many the limit kept out
local search, seen, waiting, list, lock = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local most_points = tonumber(ARGV[2])
local standing = lock and redis.call('GET', lock) or redis.call('HGET', search, 'generation')
if standing ~= ARGV[1] then return redis.error_reply('GENERATION changed') end
local size = redis.call('SCARD', seen)
local entered, dropped = 0, 0
local chunk = 1000
for from = 3, #ARGV, 2 * chunk do
  local hashes = {}
  for i = from, math.min(from + 2 * chunk, #ARGV) - 1, 2 do hashes[#hashes + 1] = ARGV[i] end
  for i, met in ipairs(redis.call('SMISMEMBER', seen, unpack(hashes))) do
    if met == 0 then
      if most_points >= 0 and size + entered >= most_points then
        dropped = dropped + 1
      elseif redis.call('SADD', seen, hashes[i]) == 1 then
        redis.call('SADD', waiting, hashes[i])
        redis.call('LPUSH', list, ARGV[from + 2 * i - 1])
        entered = entered + 1
      end
    end
  end
end
if not lock and entered > 0 then
  redis.call('HINCRBY', search, 'known', entered)
  redis.call('HINCRBY', search, 'proposed', entered)
  redis.call('HINCRBY', search, 'moves', 1)
end
return { entered, dropped }
