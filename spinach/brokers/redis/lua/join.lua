-- Register a worker.
-- KEYS: brokers, brokers_by_last_seen, brokers_seen, layout
-- ARGV: worker_id, record_head, layout_version
--       record_head: JSON up to the value of last_seen_at
-- Returns: 0, or the layout version that is newer than ours (nothing is written)
-- Retry: safe by nature
-- include: lib

local version = redis.pcall('GET', layout)
version = not is_error(version) and tonumber(version) or 0
if version > tonumber(layout_version) then return version end
drop_foreign(brokers, 'hash')
drop_foreign(brokers_by_last_seen, 'zset')
drop_foreign(brokers_seen, 'zset')
local now = redis.call('TIME')[1]
-- When memory is full, Redis allows a deletion, and after it the other writes of the script.
redis.call('HDEL', brokers, worker_id)
redis.call('HSET', brokers, worker_id, record_head .. now .. '}')
redis.call('ZADD', brokers_by_last_seen, now, worker_id)
redis.call('ZADD', brokers_seen, now, worker_id)
redis.call('ZREMRANGEBYRANK', brokers_seen, 0, -1 - MAX_BROKERS_SEEN)
if version < tonumber(layout_version) then redis.call('SET', layout, layout_version) end
return 0
