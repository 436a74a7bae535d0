-- Make periodic tasks and limits known. Those of other applications stay.
-- KEYS: periodic_tasks, periodic_queue, limits, slots_taken
-- ARGV: notifications, tasks (number), ...
-- each task: name, text, period, limit, planned
--       period in seconds, limit and planned run in epoch seconds are '' where there is none
-- Returns: 1
-- Retry: safe by nature
-- include: lib

drop_foreign(periodic_tasks, 'hash')
drop_foreign(periodic_queue, 'zset')
drop_foreign(limits, 'hash')
drop_foreign(slots_taken, 'hash')
redis.call('HDEL', periodic_tasks, '') -- when memory is full, Redis allows a deletion, and after it the other writes
local now = redis.call('TIME')[1]
local changed = false

local function period_in(text)
  local ok, task = pcall(cjson.decode, text)
  return ok and type(task) == 'table' and tonumber(task.periodicity)
end

local function register_period(name, text, period, planned)
  local known = redis.call('HGET', periodic_tasks, name)
  local next_run = redis.call('ZSCORE', periodic_queue, name)
  if known ~= text then redis.call('HSET', periodic_tasks, name, text) end
  if known and next_run and period_in(known) == tonumber(period) then return end
  if not known and tonumber(planned) then
    redis.call('ZADD', periodic_queue, planned, name)
  else
    redis.call('ZADD', periodic_queue, now + tonumber(period), name)
  end
  changed = true
end

local function register_limit(name, limit)
  local taken = redis.call('HGET', slots_taken, name)
  if not taken or not string.match(taken, '^%-?%d+$') then redis.call('HSET', slots_taken, name, 0) end
  redis.call('HSET', limits, name, limit)
end

for number = 1, tasks do
  local at = first_record + (number - 1) * task_size
  local name, text, period, limit, planned = read_task(at)
  if period ~= '' then
    register_period(name, text, period, planned)
  elseif redis.call('HDEL', periodic_tasks, name) == 1 then
    redis.call('ZREM', periodic_queue, name)
  end
  if limit ~= '' then
    register_limit(name, limit)
  elseif redis.call('HDEL', limits, name) == 1 then
    redis.call('HDEL', slots_taken, name)
  end
end
if changed then notify(notifications) end
return 1
