-- Concurrency limits, and the slots taken; put after lib.lua.

-- Returns max_concurrency by task, or nil when no task of the namespace has a limit.
local function read_limits(limits)
  local flat = redis.pcall('HGETALL', limits)
  if is_error(flat) or #flat == 0 then return nil end
  return flat_to_map(flat)
end

-- Writes when the key holds a foreign type. Returns slots taken by task.
local function read_slots(slots_taken)
  drop_foreign(slots_taken, 'hash')
  return flat_to_map(redis.call('HGETALL', slots_taken))
end

-- Writes the slots taken by a task. The caller computes the number from what it read: never HINCRBY, which keeps
-- an error for ever.
local function set_slots(slots_taken, slots, task, taken)
  if taken < 0 then taken = 0 end
  slots[task] = taken
  redis.call('HSET', slots_taken, task, taken)
end
