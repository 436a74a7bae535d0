-- Move bytes that are not what their place holds to the dead letters.
-- KEYS: source, failed, failed_data, failure_groups, counters
-- ARGV: kind, member, expected, letter_id, record, group, message
--       kind: 'zset' | 'hash' | 'list'; member: or the field of a hash; expected: the value of that field
-- Returns: 1 when moved, 0 when it was no longer there
-- Retry: safe; what is gone stays gone
-- include: lib counters failures

if not fits(source, kind) then return 0 end
drop_foreign_failures(failed, failed_data, failure_groups)
local time = redis.call('TIME')
local moved = 0
if kind == 'zset' then
  moved = redis.call('ZREM', source, member)
elseif kind == 'list' then
  moved = redis.call('LREM', source, 1, member)
elseif redis.call('HGET', source, member) == expected then
  moved = redis.call('HDEL', source, member)
end
if moved == 0 then return 0 end
local keys = { failed = failed, failed_data = failed_data, failure_groups = failure_groups, counters = counters }
keep_dead_letter(keys, time[1] + time[2] / 1000000, letter_id, record, group, message)
return 1
