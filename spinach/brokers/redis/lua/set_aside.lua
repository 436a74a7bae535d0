-- Move bytes that are not what their place holds to the dead letters.
-- KEYS: source, failed, failed data, failure groups, counters
-- ARGV: 'zset' | 'hash' | 'list', member or field, expected value (hash), dead letter id, record, failure group, message
-- Returns: 1 when moved, 0 when it was no longer there
-- Retry: safe; what is gone stays gone
-- include: lib failures

if not fits(KEYS[1], ARGV[1]) then return 0 end
heal_failed(KEYS[2], KEYS[3], KEYS[4])
local time = redis.call('TIME')
local moved
if ARGV[1] == 'zset' then
  moved = redis.call('ZREM', KEYS[1], ARGV[2])
elseif ARGV[1] == 'list' then
  moved = redis.call('LREM', KEYS[1], 1, ARGV[2])
elseif redis.call('HGET', KEYS[1], ARGV[2]) == ARGV[3] then
  moved = redis.call('HDEL', KEYS[1], ARGV[2])
else
  moved = 0
end
if moved == 0 then return 0 end
local keys = { failed = KEYS[2], data = KEYS[3], groups = KEYS[4], counters = KEYS[5] }
bury(keys, time[1] + time[2] / 1000000, ARGV[4], ARGV[5], ARGV[6], ARGV[7])
return 1
