-- Promise: ends a batch of reports whose effect is in SQL; malformed elements and those of another table move to lists for
--          people, byte for byte.
-- KEYS:    search, batches, taken, batch, malformed, list of those of another table
-- ARGV:    id, how many elements count as settled reports, how many are malformed, their positions from 0, then the positions of
--          those of another table
-- Returns: 1, or 0 when the batch was no longer the caller's
local search, batches, taken, batch, malformed, foreign = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local id, malformed_end = ARGV[1], 3 + tonumber(ARGV[3])
if not redis.call('ZSCORE', batches, id) then return 0 end
for i = 4, #ARGV do
  local element = redis.call('LINDEX', batch, ARGV[i])
  if element and i <= malformed_end then redis.call('LPUSH', malformed, element) end
  if element and i > malformed_end then redis.call('LPUSH', foreign, element) end
end
redis.call('DEL', batch)
redis.call('ZREM', batches, id)
redis.call('HDEL', taken, id)
redis.call('HINCRBY', search, 'settled', ARGV[2])
redis.call('HINCRBY', search, 'moves', 1)
return 1
