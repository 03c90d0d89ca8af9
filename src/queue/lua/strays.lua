-- Promise: elements of processing_Q that no lease stands for (pushed there by hand) move to a list of strays, for admission.
-- KEYS:    search, processing_Q, leased, strays
-- ARGV:    generation
-- Returns: how many moved
local search, processing, leased, strays = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
if redis.call('HGET', search, 'generation') ~= ARGV[1] then return redis.error_reply('GENERATION changed') end
local owned = {}
for _, element in ipairs(redis.call('HVALS', leased)) do owned[element] = (owned[element] or 0) + 1 end
local moved = 0
for _, element in ipairs(redis.call('LRANGE', processing, 0, -1)) do
  local owners = owned[element] or 0
  if owners > 0 then
    owned[element] = owners - 1
  else
    redis.call('LREM', processing, 1, element)
    redis.call('LPUSH', strays, element)
    moved = moved + 1
  end
end
return moved
