-- Promise: leases the oldest points of main_Q to one worker: each leaves main_Q, enters processing_Q and gets a token and an
--          expiry on Redis's clock, in one step. Nothing is leased while the kill switch is on or reports pile up, nor where the data
--          is not of the history that the generation names: it may be older, and its points have run. Asked again
--          with the same first token (the first reply was lost), it answers what those tokens still hold.
-- KEYS:    search, main_Q, processing_Q, leases, leased, kill, complete0_sql_Q, complete1_sql_Q, error_sql_Q
-- ARGV:    generation, token prefix, number of the first token, most points, milliseconds of the lease, most waiting
--          reports, bytes of elements to stop at
-- Returns: the elements, in the order of their tokens; false for a token that holds nothing any more
local search, main, processing, leases, leased, kill = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local prefix, number, most, lifetime = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if redis.call('HGET', search, 'generation') ~= ARGV[1] then return redis.error_reply('GENERATION changed') end
local made_on = string.match(ARGV[1], '%.(%w+)@')
if made_on and not string.find(redis.call('INFO', 'replication'), 'master_replid:' .. made_on, 1, true) then
  return redis.error_reply('GENERATION of other data')
end
local asked = {}
for i = 1, most do asked[i] = prefix .. (number + i - 1) end
local held = redis.call('HMGET', leased, unpack(asked))
for _, element in ipairs(held) do
  if element then return held end
end
if redis.call('LLEN', kill) > 0 then return {} end
local reports = redis.call('LLEN', KEYS[7]) + redis.call('LLEN', KEYS[8]) + redis.call('LLEN', KEYS[9])
if reports > tonumber(ARGV[6]) then return {} end
local elements, bytes = {}, 0
while #elements < most and bytes < tonumber(ARGV[7]) do
  local element = redis.call('RPOP', main)
  if not element then break end
  elements[#elements + 1] = element
  bytes = bytes + #element
end
if #elements == 0 then return {} end
local time = redis.call('TIME')
local expiry = time[1] * 1000 + math.floor(time[2] / 1000) + lifetime
local scores, tokens = {}, {}
for i, element in ipairs(elements) do
  scores[2 * i - 1], scores[2 * i] = expiry, asked[i]
  tokens[2 * i - 1], tokens[2 * i] = asked[i], element
end
redis.call('LPUSH', processing, unpack(elements))
redis.call('ZADD', leases, unpack(scores))
redis.call('HSET', leased, unpack(tokens))
redis.call('HINCRBY', search, 'moves', 1)
return elements
