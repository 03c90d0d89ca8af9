-- Promise: marks the search as closed (nothing left to find), unless anything moved since the pass over SQL began.
-- KEYS:    search, then every list, lease and batch that must be empty: main_sql_Q, main_Q, processing_Q, running_sql_Q,
--          error_sql_Q, complete0_sql_Q, complete1_sql_Q, leases, batches, waiting, strays
-- ARGV:    generation, moves when the pass began
-- Returns: 1, or 0 when something moved
local search = KEYS[1]
if redis.call('HGET', search, 'generation') ~= ARGV[1] then return redis.error_reply('GENERATION changed') end
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then return 0 end
end
if redis.call('HGET', search, 'moves') ~= ARGV[2] then return 0 end
redis.call('HSET', search, 'closed', ARGV[2])
return 1
