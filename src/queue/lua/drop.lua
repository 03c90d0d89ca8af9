-- Promise: ends a batch of reports whose effect is in SQL; malformed elements move to a list for people, byte for byte.
-- KEYS:    search, batches, taken, batch, malformed
-- ARGV:    id, how many elements count as settled reports, then the positions of malformed elements, from 0
-- Returns: 1, or 0 when the batch was no longer the caller's
local search, batches, taken, batch, malformed = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id = ARGV[1]
if not redis.call('ZSCORE', batches, id) then return 0 end
for i = 3, #ARGV do
  local element = redis.call('LINDEX', batch, ARGV[i])
  if element then redis.call('LPUSH', malformed, element) end
end
redis.call('DEL', batch)
redis.call('ZREM', batches, id)
redis.call('HDEL', taken, id)
redis.call('HINCRBY', search, 'settled', ARGV[2])
redis.call('HINCRBY', search, 'moves', 1)
return 1
