-- Promise: gives a dead owner's batch, whole, to a new owner: the old name is gone, so the old owner can no longer end it.
--          A batch that lost elements is marked as damage, for the master to rebuild. No batch stays its owner's for longer than a
--          lifetime from now: a later time is of before Redis's clock was set back.
-- KEYS:    search, batches, taken, batch, new batch
-- ARGV:    id, new id, milliseconds until the batch may be taken over again
-- Returns: the elements, oldest first; nothing when its owner lives
local search, batches, taken, batch, heir = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, heir_id, lifetime = ARGV[1], ARGV[2], tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expiry = redis.call('ZSCORE', batches, id)
if expiry and tonumber(expiry) > now + lifetime then redis.call('ZADD', batches, now + lifetime, id) end
if not expiry or tonumber(expiry) > now then return {} end
local size = redis.call('HGET', taken, id)
redis.call('ZREM', batches, id)
redis.call('HDEL', taken, id)
redis.call('HINCRBY', search, 'moves', 1)
local elements = redis.call('LRANGE', batch, 0, -1)
if #elements ~= tonumber(size) then redis.call('HSET', search, 'damage', 'a batch lost elements') end
if #elements == 0 then return {} end
redis.call('RENAME', batch, heir)
redis.call('ZADD', batches, now + lifetime, heir_id)
redis.call('HSET', taken, heir_id, #elements)
return elements
