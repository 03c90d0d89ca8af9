-- Promise: names the commands of the other scripts, and of the program, that this user may not run; changes nothing.
-- KEYS:    a key that is not there, another
-- ARGV:    none
-- Returns: the names of those commands
local key, other = KEYS[1], KEYS[2]
local lacking = {}
local function note(command, reply)
  local text = type(reply) == 'table' and reply.err
  if text and (text:find('NOPERM', 1, true) or text:find("can't run this command", 1, true)) then
    lacking[#lacking + 1] = command
  end
end

-- First what removes the key again: without it, nothing is written.
note('DEL', redis.pcall('DEL', key))
note('UNLINK', redis.pcall('UNLINK', key))
if #lacking > 0 then return lacking end

note('EXISTS', redis.pcall('EXISTS', key))
note('GET', redis.pcall('GET', key))
note('HDEL', redis.pcall('HDEL', key, 'field'))
note('HEXISTS', redis.pcall('HEXISTS', key, 'field'))
note('HGET', redis.pcall('HGET', key, 'field'))
note('HGETALL', redis.pcall('HGETALL', key))
note('HKEYS', redis.pcall('HKEYS', key))
note('HLEN', redis.pcall('HLEN', key))
note('HMGET', redis.pcall('HMGET', key, 'field'))
note('HVALS', redis.pcall('HVALS', key))
note('INFO', redis.pcall('INFO', 'server'))
note('LINDEX', redis.pcall('LINDEX', key, 0))
note('LLEN', redis.pcall('LLEN', key))
note('LMOVE', redis.pcall('LMOVE', key, other, 'LEFT', 'LEFT'))
note('BLMOVE', redis.pcall('BLMOVE', key, other, 'LEFT', 'LEFT', 1))
note('LRANGE', redis.pcall('LRANGE', key, 0, 0))
note('LREM', redis.pcall('LREM', key, 0, 'element'))
note('PEXPIRE', redis.pcall('PEXPIRE', key, 1))
note('PING', redis.pcall('PING'))
note('RENAME', redis.pcall('RENAME', key, other))
note('RPOP', redis.pcall('RPOP', key))
note('SCAN', redis.pcall('SCAN', 0, 'COUNT', 1))
note('SCARD', redis.pcall('SCARD', key))
note('SMISMEMBER', redis.pcall('SMISMEMBER', key, 'member'))
note('SREM', redis.pcall('SREM', key, 'member'))
note('TIME', redis.pcall('TIME'))
note('ZCARD', redis.pcall('ZCARD', key))
note('ZRANGE', redis.pcall('ZRANGE', key, 0, 0))
note('ZRANGEBYSCORE', redis.pcall('ZRANGEBYSCORE', key, 0, 0))
note('ZREM', redis.pcall('ZREM', key, 'member'))
note('ZSCORE', redis.pcall('ZSCORE', key, 'member'))

-- These make the key.
note('HINCRBY', redis.pcall('HINCRBY', key, 'field', 1))
note('HSET', redis.pcall('HSET', key, 'field', 1))
note('HSETNX', redis.pcall('HSETNX', key, 'field', 1))
redis.call('DEL', key)
note('LPUSH', redis.pcall('LPUSH', key, 'element'))
note('RPUSH', redis.pcall('RPUSH', key, 'element'))
redis.call('DEL', key)
note('SADD', redis.pcall('SADD', key, 'member'))
redis.call('DEL', key)
note('SET', redis.pcall('SET', key, 'value'))
redis.call('DEL', key)
note('ZADD', redis.pcall('ZADD', key, 1, 'member'))
redis.call('DEL', key)
return lacking
