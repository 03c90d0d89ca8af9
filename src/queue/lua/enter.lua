-- A part of scripts: those of the points proposed from ARGV[first] on, as pairs of hash and element, that were never seen enter a
-- list, once. Beyond `most_points` (-1: no limit) they do not. Returns how many entered, and how many the limit kept out.
local function enter(seen, waiting, list, most_points, first)
  local size = most_points >= 0 and redis.call('SCARD', seen) or 0
  local entered, dropped = 0, 0
  local chunk = 1000
  for from = first, #ARGV, 2 * chunk do
    local hashes, fresh, elements, met = {}, {}, {}, {}
    for i = from, math.min(from + 2 * chunk, #ARGV) - 1, 2 do hashes[#hashes + 1] = ARGV[i] end
    for i, there in ipairs(redis.call('SMISMEMBER', seen, unpack(hashes))) do
      if there == 0 and not met[hashes[i]] then
        met[hashes[i]] = true
        if most_points >= 0 and size + entered >= most_points then
          dropped = dropped + 1
        else
          entered = entered + 1
          fresh[#fresh + 1] = hashes[i]
          elements[#elements + 1] = ARGV[from + 2 * i - 1]
        end
      end
    end
    if #fresh > 0 then
      redis.call('SADD', seen, unpack(fresh))
      redis.call('SADD', waiting, unpack(fresh))
      redis.call('LPUSH', list, unpack(elements))
    end
  end
  return entered, dropped
end
