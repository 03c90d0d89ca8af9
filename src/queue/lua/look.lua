-- Promise: one consistent look at everything that owns points.
-- KEYS:    search, leases, leased, batches, taken, seen, waiting, strays, set-aside list, rebuild lock, then the lists
-- ARGV:    none
-- Returns: the search's fields, the batches' sizes (each as name, value, …), the numbers of leases, leased elements, seen,
--          waiting, strays and what a rebuild has set aside (itself as one), Redis's time in milliseconds, then the lists' lengths
local search, leases, leased, batches, taken, seen, waiting, strays, aside, lock =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local time = redis.call('TIME')
local look = {
  redis.call('HGETALL', search),
  redis.call('HGETALL', taken),
  redis.call('ZCARD', leases),
  redis.call('HLEN', leased),
  redis.call('SCARD', seen),
  redis.call('SCARD', waiting),
  redis.call('LLEN', strays) + redis.call('LLEN', aside) + redis.call('EXISTS', lock),
  time[1] * 1000 + math.floor(time[2] / 1000),
  redis.call('ZCARD', batches),
}
for i = 11, #KEYS do look[#look + 1] = redis.call('LLEN', KEYS[i]) end
return look
