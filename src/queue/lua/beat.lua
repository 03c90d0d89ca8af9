-- Promise: a role's sign of life, on Redis's clock; its batches stay its own for another lifetime.
-- KEYS:    search, roles, kill, batches
-- ARGV:    role id, what it says of itself (JSON), milliseconds until its batches may be taken over, batch ids
-- Returns: the kill switch's first element or '', the generation or '', 1 when the search is closed
local search, roles, kill, batches = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', roles, ARGV[1], string.format('%.0f', now) .. ';' .. ARGV[2])
for i = 4, #ARGV do redis.call('ZADD', batches, 'XX', now + tonumber(ARGV[3]), ARGV[i]) end
local told = redis.call('HMGET', search, 'generation', 'closed', 'moves')
local closed = told[2] and told[2] == told[3]
return { redis.call('LINDEX', kill, 0) or '', told[1] or '', closed and 1 or 0 }
