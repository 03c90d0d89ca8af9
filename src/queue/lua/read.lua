-- Promise: reads a part of a list, from its oldest elements on, and changes nothing.
-- KEYS:    list
-- ARGV:    how many older ones were read before, most elements, bytes to stop at
-- Returns: the elements, oldest first; one at least, while there is one
local list = KEYS[1]
local before, most, max_bytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local chunk = 50
local elements, bytes = {}, 0
while true do
  local last = -1 - before - #elements
  local some = redis.call('LRANGE', list, last - chunk + 1, last)
  for i = #some, 1, -1 do
    if #elements == most or bytes >= max_bytes then return elements end
    elements[#elements + 1] = some[i]
    bytes = bytes + #some[i]
  end
  if #some < chunk then return elements end
end
