-- Promise: ends leases: each point leaves processing_Q and arrives in exactly one list (a report, or a queue again), and what it
--          proposes enters main_sql_Q unless it was seen. All or nothing: one stale token, and nothing changes.
-- KEYS:    search, processing_Q, leases, leased, seen, waiting, main_sql_Q, then the lists that points may arrive in: the reports
--          (complete0_sql_Q, complete1_sql_Q, error_sql_Q), then main_Q, main_sql_Q, main_Q:malformed
-- ARGV:    generation, '1' = only leases that have expired, most points of the search (-1: no limit), number of leases,
--          then for each: token, arrival list from 1, element ('' = as it was leased); then pairs: hash, element proposed
-- Returns: the stale tokens; none: it is done
-- Uses:    enter
local search, processing, leases, leased, seen, waiting, main_sql =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local lists_before, reports = 7, 3
local only_expired, most_points, count = ARGV[2] == '1', tonumber(ARGV[3]), tonumber(ARGV[4])
if redis.call('HGET', search, 'generation') ~= ARGV[1] then return redis.error_reply('GENERATION changed') end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local first_proposal = 5 + 3 * count

local tokens = {}
for i = 5, first_proposal - 1, 3 do tokens[#tokens + 1] = ARGV[i] end
local held = redis.call('HMGET', leased, unpack(tokens))
local stale = {}
for i, token in ipairs(tokens) do
  local expiry = only_expired and redis.call('ZSCORE', leases, token)
  if not held[i] or (only_expired and (not expiry or tonumber(expiry) > now)) then stale[#stale + 1] = token end
end
if #stale > 0 then return stale end

local ended, arrivals = 0, {}
for i = 1, count do
  local arrival, element = tonumber(ARGV[3 + 3 * i]), ARGV[4 + 3 * i]
  arrivals[arrival] = arrivals[arrival] or {}
  table.insert(arrivals[arrival], element == '' and held[i] or element)
  redis.call('LREM', processing, -1, held[i])
  if arrival <= reports then ended = ended + 1 end
end
for arrival, elements in pairs(arrivals) do redis.call('LPUSH', KEYS[lists_before + arrival], unpack(elements)) end
redis.call('ZREM', leases, unpack(tokens))
redis.call('HDEL', leased, unpack(tokens))

local known, dropped = enter(seen, waiting, main_sql, most_points, first_proposal)
redis.call('HINCRBY', search, 'known', known)
redis.call('HINCRBY', search, 'proposed', known)
redis.call('HINCRBY', search, 'ended', ended)
if dropped > 0 then redis.call('HINCRBY', search, 'dropped', dropped) end
redis.call('HINCRBY', search, 'moves', 1)
return {}
