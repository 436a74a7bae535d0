-- Shared by the scripts, put before each. Pure but for the functions that say what they write.

-- The exact head our encoder writes (ids in small letters: they are fields, byte for byte), up to the status digit: anchored at byte 1, before anything a user wrote.
local HEAD = '^{"at": %-?%d+, "at_us": %d+, "enqueued_at": %d+%.%d+, "id": "([%da-f%-]+)", "max_retries": (%d+), '
  .. '"queue": "[^"\\]*", "retries": (%d+), "status": ()%d, '
-- The head the published package writes.
local OLD_HEAD = '^{"at": %-?%d+, "at_us": %d+, "id": "([%da-f%-]+)", "max_retries": (%d+), '
  .. '"queue": "[^"\\]*", "retries": (%d+), "status": ()%d, '
-- The task's name comes last; a quote inside a JSON text has a backslash before it, so this is no payload.
local TAIL = '"task_name": "([^"\\]*)"}$'

-- id, max_retries, retries, position of the status digit; nil when the text is spelled otherwise.
local function head_of(raw)
  local id, max_retries, retries, position = string.match(raw, HEAD)
  if not id then id, max_retries, retries, position = string.match(raw, OLD_HEAD) end
  return id, max_retries, retries, position
end

local function task_of(raw)
  return string.match(string.sub(raw, -600), TAIL)
end

local function with_status(raw, status)
  local id, _, _, position = head_of(raw)
  if not id then return raw end
  return string.sub(raw, 1, position - 1) .. status .. string.sub(raw, position + 1)
end

local function is_error(reply)
  return type(reply) == 'table' and reply.err ~= nil
end

-- Whether a key may be used as `kind`: it is one, or is not there.
local function fits(key, kind)
  local found = redis.call('TYPE', key).ok
  return found == kind or found == 'none'
end

-- Writes: drops a key of ours that holds a foreign type, so that it cannot stand in the way.
local function heal(key, kind)
  if not fits(key, kind) then redis.call('DEL', key) end
end

local function flat_to_map(flat)
  local map = {}
  if is_error(flat) then return map end
  for i = 1, #flat, 2 do map[flat[i]] = flat[i + 1] end
  return map
end

-- Limits as a map, or nil when the namespace has none.
local function limits_of(limits_key)
  local flat = redis.pcall('HGETALL', limits_key)
  if is_error(flat) or #flat == 0 then return nil end
  return flat_to_map(flat)
end

-- Writes: sets the slots taken by a task; the number was computed from what was read, never added blindly.
local function set_slots(slots_key, slots, task, taken)
  if taken < 0 then taken = 0 end
  slots[task] = taken
  redis.call('HSET', slots_key, task, taken)
end

local function slots_of(slots_key)
  heal(slots_key, 'hash')
  return flat_to_map(redis.call('HGETALL', slots_key))
end

-- Writes statistics; by its own promise never fails.
local function add_to(key, field, increment, cap)
  local value = redis.pcall('HINCRBY', key, field, increment)
  if is_error(value) then
    if string.find(value.err, 'WRONGTYPE') then
      redis.pcall('DEL', key)
      redis.pcall('HINCRBY', key, field, increment)
    elseif string.find(value.err, 'not an integer') or string.find(value.err, 'overflow') then
      redis.pcall('HSET', key, field, increment)
    end
  elseif value == tonumber(increment) and cap and redis.call('HLEN', key) > cap then
    redis.pcall('HDEL', key, field)
    redis.pcall('HINCRBY', key, '["other", "other", "folded"]', increment)
  end
  return value
end

local MINUTE_TTL = 21600
local MAX_FIELDS = 4000

local function count(totals, minute, field, increment)
  add_to(totals, field, increment, MAX_FIELDS)
  if add_to(minute, field, increment, MAX_FIELDS) == tonumber(increment) then
    redis.pcall('EXPIRE', minute, MINUTE_TTL)
  end
end

-- Reads pairs (field, increment) from ARGV[from] on.
local function count_all(totals, minute, from, pairs_)
  for i = from, from + 2 * pairs_ - 1, 2 do count(totals, minute, ARGV[i], ARGV[i + 1]) end
end

local function news(channel)
  redis.pcall('PUBLISH', channel, '')
end
