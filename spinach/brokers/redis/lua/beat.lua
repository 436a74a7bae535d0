-- Say that a worker is alive. Both entries or none: an old worker trips over one without the other.
-- KEYS: brokers, brokers by sight
-- ARGV: worker id, JSON, time of sight
-- Returns: 1, or 0 when the worker is not registered (it was declared dead)
-- Retry: safe by nature
-- include:

-- A registry of a foreign type holds nobody: joining again mends it.
if redis.pcall('HEXISTS', KEYS[1], ARGV[1]) ~= 1 then return 0 end
if type(redis.pcall('ZSCORE', KEYS[2], ARGV[1])) == 'table' then redis.call('DEL', KEYS[2]) end
-- A deletion comes first: it is allowed when memory is full, and so is then the rest.
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
return 1
