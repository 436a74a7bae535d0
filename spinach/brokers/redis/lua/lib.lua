-- Keys of the wrong type, long lists of values, notifications: put before most scripts.
-- A function that writes says so.

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

-- Tells the workers of the namespace to ask again.
local function notify(notifications)
  redis.pcall('PUBLISH', notifications, '')
end
