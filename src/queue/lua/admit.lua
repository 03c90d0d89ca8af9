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
local known, waited, admitted = 0, 0, {}
for i = first, #ARGV, 2 do
  local hash, element = ARGV[i], ARGV[i + 1]
  local fresh = redis.call('SREM', waiting, hash) == 1
  if fresh then
    waited = waited + 1
  elseif redis.call('SADD', seen, hash) == 1 then
    fresh = true
    known = known + 1
  end
  if fresh and element ~= '' then admitted[#admitted + 1] = element end
end
if #admitted > 0 then redis.call('LPUSH', main, unpack(admitted)) end
redis.call('DEL', batch)
redis.call('ZREM', batches, id)
redis.call('HDEL', taken, id)
redis.call('HINCRBY', search, 'known', known)
redis.call('HINCRBY', search, 'proposed', 0 - waited)
redis.call('HINCRBY', search, 'admitted', #admitted)
redis.call('HINCRBY', search, 'moves', 1)
return #admitted
