-- Set the slots taken of every limited task to the number of its jobs that run.
-- KEYS: brokers, limits, slots_taken, limits_checked, running_key...
-- ARGV: notifications, holds_ms (number), registered (number)
--       holds_ms: how long a count holds, in milliseconds; registered: how many of the running keys are of
--       registered workers
-- Returns: 1 when counted, 0 when it was counted a moment ago or the workers changed meanwhile
-- Retry: safe by nature
-- include: lib job_text slots

local task_limits = read_limits(limits)
if not task_limits then return 0 end
if redis.call('HLEN', brokers) ~= registered then return 0 end

local counted = {}
for number = 1, running_keys do
  local running = running_key(number)
  if fits(running, 'hash') then
    for _, raw in ipairs(redis.call('HVALS', running)) do
      local task = task_in(raw)
      if task and task_limits[task] then counted[task] = (counted[task] or 0) + 1 end
    end
  end
end
drop_foreign(limits_checked, 'string')
local slots = read_slots(slots_taken)
redis.call('HDEL', slots_taken, '') -- when memory is full, Redis allows a deletion, and after it the other writes
if not redis.call('SET', limits_checked, '1', 'PX', holds_ms, 'NX') then return 0 end
local freed = false
for task in pairs(task_limits) do
  local taken, noted = counted[task] or 0, tonumber(slots[task])
  if noted ~= taken then
    redis.call('HSET', slots_taken, task, taken)
    freed = freed or not noted or noted > taken
  end
end
if freed then notify(notifications) end
return 1
