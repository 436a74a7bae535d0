-- Make periodic tasks and limits known. Those of other applications stay.
-- KEYS: periodic tasks, periodic queue, limits, slots taken
-- ARGV: channel, number of tasks, per task: name, JSON, period in seconds or '', limit or '', planned run or ''
-- Returns: 1
-- Retry: safe by nature
-- include: lib

heal(KEYS[1], 'hash')
heal(KEYS[2], 'zset')
heal(KEYS[3], 'hash')
heal(KEYS[4], 'hash')
redis.call('HDEL', KEYS[1], '') -- allowed when memory is full, and so is then the rest
local now = redis.call('TIME')[1]
local changed = false

local function period_in(text)
  local ok, task = pcall(cjson.decode, text)
  return ok and type(task) == 'table' and tonumber(task.periodicity)
end

local function register_period(name, text, period, planned)
  local known = redis.call('HGET', KEYS[1], name)
  local score = redis.call('ZSCORE', KEYS[2], name)
  if known ~= text then redis.call('HSET', KEYS[1], name, text) end
  if known and score and period_in(known) == tonumber(period) then return end
  if not known and planned ~= '' and tonumber(planned) then
    redis.call('ZADD', KEYS[2], planned, name)
  else
    redis.call('ZADD', KEYS[2], now + tonumber(period), name)
  end
  changed = true
end

for task = 1, tonumber(ARGV[2]) do
  local at = 3 + (task - 1) * 5
  local name, text, period, limit = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  if period ~= '' then
    register_period(name, text, period, ARGV[at + 4])
  elseif redis.call('HDEL', KEYS[1], name) == 1 then
    redis.call('ZREM', KEYS[2], name)
  end
  if limit ~= '' then
    local taken = redis.call('HGET', KEYS[4], name)
    if not taken or not string.match(taken, '^%-?%d+$') then redis.call('HSET', KEYS[4], name, 0) end
    redis.call('HSET', KEYS[3], name, limit)
  elseif redis.call('HDEL', KEYS[3], name) == 1 then
    redis.call('HDEL', KEYS[4], name)
  end
end
if changed then news(ARGV[1]) end
return 1
