-- Say that a worker is alive. Writes both entries or neither: an old worker fails on one without the other.
-- KEYS: brokers, brokers_by_last_seen
-- ARGV: worker_id, record, seen_at
-- Returns: 1, or 0 when the worker is not registered (it was declared dead)
-- Retry: safe by nature
-- include:

-- A registry of a foreign type holds no worker: the worker joins again, which repairs it.
if redis.pcall('HEXISTS', brokers, worker_id) ~= 1 then return 0 end
if type(redis.pcall('ZSCORE', brokers_by_last_seen, worker_id)) == 'table' then redis.call('DEL', brokers_by_last_seen) end
-- When memory is full, Redis allows a deletion, and after it the other writes of the script.
redis.call('HDEL', brokers, worker_id)
redis.call('HSET', brokers, worker_id, record)
redis.call('ZADD', brokers_by_last_seen, seen_at, worker_id)
return 1
