-- Declare a worker dead: from here on nothing that it sends changes anything.
-- KEYS: brokers, brokers_by_last_seen, brokers_seen, counters, counters_of_minute, lost_workers
-- ARGV: worker_id, judged_record, judged_last_seen, lost_record, now
--       judged_record, judged_last_seen: what the registry must still say; '' for either: no matter what it says
-- Returns: 1 when this call declared it, 0 when its entry changed meanwhile or is gone
-- Retry: safe; the second call finds it gone
-- include: lib counters

local record = redis.call('HGET', brokers, worker_id)
local last_seen = redis.call('ZSCORE', brokers_by_last_seen, worker_id)
if not record and not last_seen then return 0 end
if judged_record ~= '' and record ~= judged_record then return 0 end
if judged_last_seen ~= '' and (not last_seen or tonumber(last_seen) ~= tonumber(judged_last_seen)) then return 0 end
redis.call('HDEL', brokers, worker_id)
redis.call('ZREM', brokers_by_last_seen, worker_id)
drop_foreign(brokers_seen, 'zset')
redis.call('ZADD', brokers_seen, 0, worker_id)
count(counters, counters_of_minute, '["", "", "workers_lost_silent"]', 1)
drop_foreign(lost_workers, 'zset')
redis.pcall('ZADD', lost_workers, now, lost_record)
redis.pcall('ZREMRANGEBYRANK', lost_workers, 0, -1 - MAX_LOST_WORKERS)
redis.pcall('EXPIRE', lost_workers, LOST_WORKERS_TTL_SECONDS)
return 1
