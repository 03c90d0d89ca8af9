-- Promise: ends a rebuild in one step: the lists and sets made from SQL take the place of the old ones, leases that still mean
--          something stay, and the new generation stands last.
-- KEYS:    search, rebuild lock, set-aside list, main_Q, main_sql_Q, seen, waiting, processing_Q, leases, leased, rebuilt main_Q,
--          rebuilt main_sql_Q, rebuilt seen, rebuilt waiting
-- ARGV:    lock token, generation, definition of the search, milliseconds of the lease, then the tokens of leases to forget
-- Returns: 1, or 0 when the lock is another's
local search, lock, aside, main, main_sql, seen, waiting, processing, leases, leased =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local new_main, new_main_sql, new_seen, new_waiting = KEYS[11], KEYS[12], KEYS[13], KEYS[14]
if redis.call('GET', lock) ~= ARGV[1] then return 0 end
for i = 5, #ARGV do
  redis.call('ZREM', leases, ARGV[i])
  redis.call('HDEL', leased, ARGV[i])
end
for _, token in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
  if redis.call('HEXISTS', leased, token) == 0 then redis.call('ZREM', leases, token) end
end
redis.call('DEL', processing)
local flat = redis.call('HGETALL', leased)
for i = 1, #flat, 2 do
  redis.call('LPUSH', processing, flat[i + 1])
  if not redis.call('ZSCORE', leases, flat[i]) then redis.call('ZADD', leases, 0, flat[i]) end
end
redis.call('DEL', main, seen, waiting, aside)
if redis.call('EXISTS', new_main) == 1 then redis.call('RENAME', new_main, main) end
if redis.call('EXISTS', new_seen) == 1 then redis.call('RENAME', new_seen, seen) end
if redis.call('EXISTS', new_waiting) == 1 then redis.call('RENAME', new_waiting, waiting) end
while redis.call('LMOVE', new_main_sql, main_sql, 'RIGHT', 'LEFT') do end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HDEL', search, 'damage', 'closed', 'suspended')
redis.call('HSET', search,
  'admitted', redis.call('LLEN', main) + redis.call('HLEN', leased), 'ended', 0, 'settled', 0,
  'known', redis.call('SCARD', seen), 'proposed', redis.call('SCARD', waiting), 'swept_at', now, 'reclaim_from', now + tonumber(ARGV[4]),
  'definition', ARGV[3], 'generation', ARGV[2])
redis.call('HINCRBY', search, 'moves', 1)
redis.call('DEL', lock)
return 1
