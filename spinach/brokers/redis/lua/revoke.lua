-- Declare a worker dead: from here on nothing it sends changes anything.
-- KEYS: brokers, brokers by sight, brokers seen, counters, counters of the minute, lost workers
-- ARGV: worker id, its entry as judged, its sight as judged ('' for either: whatever it is now), its record,
--       epoch seconds, records kept, seconds they are kept
-- Returns: 1 when this call declared it, 0 when it moved meanwhile or is gone
-- Retry: safe; the second call finds it gone
-- include: lib

local entry = redis.call('HGET', KEYS[1], ARGV[1])
local sight = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not entry and not sight then return 0 end
if ARGV[2] ~= '' and entry ~= ARGV[2] then return 0 end
if ARGV[3] ~= '' and (not sight or tonumber(sight) ~= tonumber(ARGV[3])) then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
heal(KEYS[3], 'zset')
redis.call('ZADD', KEYS[3], 0, ARGV[1])
count(KEYS[4], KEYS[5], '["", "", "workers_lost_silent"]', 1)
heal(KEYS[6], 'zset')
redis.pcall('ZADD', KEYS[6], ARGV[5], ARGV[4])
redis.pcall('ZREMRANGEBYRANK', KEYS[6], 0, -1 - ARGV[6])
redis.pcall('EXPIRE', KEYS[6], ARGV[7])
return 1
