-- Say that a worker is alive. Both entries or none: an old worker trips over one without the other.
-- KEYS: brokers, brokers by sight
-- ARGV: worker id, JSON, time of sight
-- Returns: 1, or 0 when the worker is not registered (it was declared dead)
-- Retry: safe by nature
-- include:

if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
