-- Promise: begins a rebuild: no generation stands, so every other script refuses; which one stood last is kept on record. What waited to be admitted or run, in lists
--          and in batches of masters, is set aside for the rebuild. A batch that lost its owner's mark can be taken over at
--          once, and one whose size was lost is waited for all the same.
-- KEYS:    search, rebuild lock, set-aside list, batches, taken, then so many lists to set aside, then so many keys to clear
-- ARGV:    lock token, number of lists, the ids of the batches among them
-- Returns: 1, or 0 when the lock is another's
local search, lock, aside, batches, taken = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
if redis.call('GET', lock) ~= ARGV[1] then return 0 end
local lists = tonumber(ARGV[2])
local generation = redis.call('HGET', search, 'generation')
if generation then redis.call('HSET', search, 'suspended', generation) end
redis.call('HDEL', search, 'generation', 'dropped')
for i = 6, 5 + lists do
  while redis.call('LMOVE', KEYS[i], aside, 'RIGHT', 'LEFT') do end
end
for i = 6 + lists, #KEYS do redis.call('DEL', KEYS[i]) end
for i = 3, #ARGV do
  redis.call('ZREM', batches, ARGV[i])
  redis.call('HDEL', taken, ARGV[i])
end
for _, id in ipairs(redis.call('HKEYS', taken)) do redis.call('ZADD', batches, 'NX', 0, id) end
for _, id in ipairs(redis.call('ZRANGE', batches, 0, -1)) do redis.call('HSETNX', taken, id, 0) end
return 1
