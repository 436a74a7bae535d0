-- Shared by the scripts, put before each. A function that writes says so.

-- The exact head that our encoder writes, up to the status digit. Anchored at byte 1, before anything a user wrote.
-- Ids are in small letters: they are fields of hashes, byte for byte.
local HEAD = '^{"at": %-?%d+, "at_us": %d+, "enqueued_at": %d+%.%d+, "id": "([%da-f%-]+)", "max_retries": (%d+), '
  .. '"queue": "[^"\\]*", "retries": (%d+), "status": ()%d, '
-- The head that the published package writes.
local OLD_HEAD = '^{"at": %-?%d+, "at_us": %d+, "id": "([%da-f%-]+)", "max_retries": (%d+), '
  .. '"queue": "[^"\\]*", "retries": (%d+), "status": ()%d, '
-- The task's name comes last. No payload looks like this: in a JSON text a quote has a backslash before it.
local TAIL = '"task_name": "([^"\\]*)"}$'
local TAIL_BYTES = 600

-- Returns id, max_retries, retries and position of the status digit; nil when the text is spelled otherwise.
local function head_of(raw)
  local id, max_retries, retries, position = string.match(raw, HEAD)
  if not id then id, max_retries, retries, position = string.match(raw, OLD_HEAD) end
  return id, max_retries, retries, position
end

local function task_of(raw)
  return string.match(string.sub(raw, -TAIL_BYTES), TAIL)
end

local function with_status(raw, status)
  local id, _, _, position = head_of(raw)
  if not id then return raw end
  return string.sub(raw, 1, position - 1) .. status .. string.sub(raw, position + 1)
end

local function is_error(reply)
  return type(reply) == 'table' and reply.err ~= nil
end

-- Whether a key may be used as `kind`: it has this type, or does not exist.
local function fits(key, kind)
  local found = redis.call('TYPE', key).ok
  return found == kind or found == 'none'
end

local function wrong_type(key, content)
  return redis.error_reply('WRONGTYPE ' .. key .. ' does not hold ' .. content)
end

-- Writes: removes one of our own keys when it holds a foreign type, which would block every later call.
local function drop_foreign(key, kind)
  if not fits(key, kind) then redis.call('DEL', key) end
end

-- Writes: a command with values[first] to values[last], in as many calls as `unpack` needs.
local function call_in_chunks(command, key, values, first, last)
  for from = first, last, MAX_UNPACKED do
    redis.call(command, key, unpack(values, from, math.min(from + MAX_UNPACKED - 1, last)))
  end
end

local function flat_to_map(flat)
  local map = {}
  if is_error(flat) then return map end
  for i = 1, #flat, 2 do map[flat[i]] = flat[i + 1] end
  return map
end

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

-- Writes one statistic. Never fails: a job is worth more than its count.
local function add_to(key, field, increment, max_fields)
  local value = redis.pcall('HINCRBY', key, field, increment)
  if is_error(value) then
    if string.find(value.err, 'WRONGTYPE') then
      redis.pcall('DEL', key)
      redis.pcall('HINCRBY', key, field, increment)
    elseif string.find(value.err, 'not an integer') or string.find(value.err, 'overflow') then
      redis.pcall('HSET', key, field, increment)
    end
  elseif value == tonumber(increment) and max_fields and redis.call('HLEN', key) > max_fields then
    redis.pcall('HDEL', key, field)
    redis.pcall('HINCRBY', key, '["other", "other", "folded"]', increment)
  end
  return value
end

-- Writes: adds to a counter's total and to its count of the minute.
local function count(counters, counters_of_minute, field, increment)
  add_to(counters, field, increment, MAX_COUNTER_FIELDS)
  if add_to(counters_of_minute, field, increment, MAX_COUNTER_FIELDS) == tonumber(increment) then
    redis.pcall('EXPIRE', counters_of_minute, MINUTE_TTL_SECONDS)
  end
end

-- Writes: counts pairs of field and increment, from ARGV[first] on.
local function count_all(counters, counters_of_minute, first, pairs_)
  for i = first, first + 2 * pairs_ - 1, 2 do count(counters, counters_of_minute, ARGV[i], ARGV[i + 1]) end
end

-- Tells the workers of the namespace to ask again.
local function notify(notifications)
  redis.pcall('PUBLISH', notifications, '')
end
