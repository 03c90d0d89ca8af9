-- Promise: points that SQL made live again enter main_Q; they were met before, so no dedupe stands in their way.
-- KEYS:    search, main_Q
-- ARGV:    generation, elements
-- Returns: how many entered
local search, main = KEYS[1], KEYS[2]
if redis.call('HGET', search, 'generation') ~= ARGV[1] then return redis.error_reply('GENERATION changed') end
for i = 2, #ARGV do redis.call('LPUSH', main, ARGV[i]) end
redis.call('HINCRBY', search, 'admitted', #ARGV - 1)
redis.call('HINCRBY', search, 'moves', 1)
return #ARGV - 1
