-- Promise: gives a dead owner's batch to a new owner: the old name is gone, so the old owner can no longer end it. Of a batch that
--          is longer than a number of bytes (of version 0.1) the rest becomes a batch of its own, to be taken over next.
--          A batch that lost elements is marked as damage, for the master to rebuild. No batch stays its owner's for longer than a
--          lifetime from now: a later time is of before Redis's clock was set back.
-- KEYS:    search, batches, taken, batch, new batch, rest
-- ARGV:    id, new id, id of the rest, bytes to stop at, milliseconds until the batch may be taken over again
-- Returns: the elements, oldest first; nothing when its owner lives
local search, batches, taken, batch, heir, rest = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local id, heir_id, rest_id, max_bytes, lifetime = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expiry = redis.call('ZSCORE', batches, id)
if expiry and tonumber(expiry) > now + lifetime then redis.call('ZADD', batches, now + lifetime, id) end
if not expiry or tonumber(expiry) > now then return {} end
local size = redis.call('HGET', taken, id)
redis.call('ZREM', batches, id)
redis.call('HDEL', taken, id)
redis.call('HINCRBY', search, 'moves', 1)
local length = redis.call('LLEN', batch)
if length ~= tonumber(size) then redis.call('HSET', search, 'damage', 'a batch lost elements') end
local elements, bytes = {}, 0
while #elements < length and bytes < max_bytes do
  local element = redis.call('LMOVE', batch, heir, 'LEFT', 'RIGHT')
  elements[#elements + 1] = element
  bytes = bytes + #element
end
if #elements == 0 then return {} end
redis.call('ZADD', batches, now + lifetime, heir_id)
redis.call('HSET', taken, heir_id, #elements)
if #elements < length then
  redis.call('RENAME', batch, rest)
  redis.call('ZADD', batches, 0, rest_id)
  redis.call('HSET', taken, rest_id, length - #elements)
end
return elements
