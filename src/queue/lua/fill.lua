-- Promise: adds to what a rebuild makes, as long as the rebuild is the caller's: one that was overtaken adds nothing.
-- KEYS:    rebuild lock, a rebuilt list or set
-- ARGV:    lock token, LPUSH or SADD, values
-- Returns: 1, or 0 when the lock is another's
local lock, rebuilt = KEYS[1], KEYS[2]
if redis.call('GET', lock) ~= ARGV[1] then return 0 end
if ARGV[2] == 'SADD' then redis.call('SADD', rebuilt, unpack(ARGV, 3)) end
if ARGV[2] == 'LPUSH' then redis.call('LPUSH', rebuilt, unpack(ARGV, 3)) end
return 1
