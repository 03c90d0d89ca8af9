-- Promise: begins a rebuild: no generation stands, so every other script refuses. Proposals that were waiting, in the list or
--          in batches of masters, are set aside for the rebuild to take up again.
-- KEYS:    search, rebuild lock, main_sql_Q, set-aside list, batches, taken, keys to clear (the rebuilt seen, waiting, main_Q,
--          main_sql_Q), then the masters' batches
-- ARGV:    lock token, then the ids of those batches
-- Returns: 1, or 0 when the lock is another's
local search, lock, main_sql, aside, batches, taken = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
if redis.call('GET', lock) ~= ARGV[1] then return 0 end
redis.call('HDEL', search, 'generation')
for i = 7, 10 do redis.call('DEL', KEYS[i]) end
while redis.call('LMOVE', main_sql, aside, 'RIGHT', 'LEFT') do end
for i = 11, #KEYS do
  while redis.call('LMOVE', KEYS[i], aside, 'LEFT', 'LEFT') do end
  redis.call('ZREM', batches, ARGV[i - 9])
  redis.call('HDEL', taken, ARGV[i - 9])
end
return 1
