-- Promise: moves the oldest elements of a list onto a batch of the caller's own, registered with an expiry, in one step.
--          It stops where they reach a number of bytes, with one at least. Asked again for the same batch (the first reply was lost), it answers what that batch holds.
-- KEYS:    search, batches, taken, source, batch
-- ARGV:    generation ('' = any), batch id, most elements, bytes to stop at, milliseconds until the batch may be taken over
-- Returns: the elements, oldest first
local search, batches, taken, source, batch = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local generation, id, most, max_bytes, lifetime = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if generation ~= '' and redis.call('HGET', search, 'generation') ~= generation then
  return redis.error_reply('GENERATION changed')
end
local held = redis.call('LRANGE', batch, 0, -1)
if #held > 0 then return held end
local elements, bytes = {}, 0
while #elements < most and bytes < max_bytes do
  local element = redis.call('LMOVE', source, batch, 'RIGHT', 'RIGHT')
  if not element then break end
  elements[#elements + 1] = element
  bytes = bytes + #element
end
if #elements == 0 then return {} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', batches, now + lifetime, id)
redis.call('HSET', taken, id, #elements)
redis.call('HINCRBY', search, 'moves', 1)
return elements
