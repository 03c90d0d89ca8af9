-- Promise: ends a batch of proposals whose rows are in SQL: each point not yet admitted in this generation enters main_Q,
--          once, and the batch is gone. A batch that was taken over changes nothing.
-- KEYS:    search, batches, taken, batch, malformed, main_Q, seen, waiting
-- ARGV:    generation, id, number of malformed elements, their positions from 0, then pairs: hash, element ('' = never run: settled)
-- Returns: how many points entered main_Q, or -1 when the batch was no longer the caller's
local search, batches, taken, batch, malformed, main, seen, waiting =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local id = ARGV[2]
if redis.call('HGET', search, 'generation') ~= ARGV[1] then return redis.error_reply('GENERATION changed') end
if not redis.call('ZSCORE', batches, id) then return -1 end
local first = 4 + tonumber(ARGV[3])
for i = 4, first - 1 do
  local element = redis.call('LINDEX', batch, ARGV[i])
  if element then redis.call('LPUSH', malformed, element) end
end
local hashes, awaited, admitted, met = {}, {}, {}, {}
local known = 0
for i = first, #ARGV, 2 do hashes[#hashes + 1] = ARGV[i] end
for i, waits in ipairs(#hashes > 0 and redis.call('SMISMEMBER', waiting, unpack(hashes)) or {}) do
  local hash, element = hashes[i], ARGV[first + 2 * i - 1]
  local fresh = not met[hash] and (waits == 1 or redis.call('SADD', seen, hash) == 1)
  met[hash] = true
  if fresh and waits == 1 then awaited[#awaited + 1] = hash elseif fresh then known = known + 1 end
  if fresh and element ~= '' then admitted[#admitted + 1] = element end
end
if #awaited > 0 then redis.call('SREM', waiting, unpack(awaited)) end
if #admitted > 0 then redis.call('LPUSH', main, unpack(admitted)) end
redis.call('DEL', batch)
redis.call('ZREM', batches, id)
redis.call('HDEL', taken, id)
redis.call('HINCRBY', search, 'known', known)
redis.call('HINCRBY', search, 'proposed', 0 - #awaited)
redis.call('HINCRBY', search, 'admitted', #admitted)
redis.call('HINCRBY', search, 'moves', 1)
return #admitted
