-- Dead letters and failure groups; put after lib.lua and counters.lua.

-- Bounds the work of one call. A call adds at most some hundreds of dead letters, so the surplus shrinks.
local MAX_TRIMMED = 100
local FACTS_PER_GROUP = 4

local function drop_foreign_failures(failed, failed_data, failure_groups)
  drop_foreign(failed, 'zset')
  drop_foreign(failed_data, 'hash')
  drop_foreign(failure_groups, 'hash')
end

local function trim_dead_letters(failed, failed_data, counters, now)
  local old = redis.call('ZRANGEBYSCORE', failed, '-inf', now - MAX_DEAD_LETTER_AGE_SECONDS, 'LIMIT', 0, MAX_TRIMMED)
  local excess = math.min(redis.call('ZCARD', failed) - #old - MAX_DEAD_LETTERS, MAX_TRIMMED)
  if excess > 0 then
    for _, id in ipairs(redis.call('ZRANGE', failed, #old, #old + excess - 1)) do old[#old + 1] = id end
  end
  if #old == 0 then return end
  redis.call('ZREM', failed, unpack(old))
  redis.call('HDEL', failed_data, unpack(old))
  add_to(counters, '["", "", "dead_letters_trimmed"]', #old)
end

-- Reads all groups at most once per call, and only when a new group finds no place: `keys.last_seen` notes when each
-- was last seen.
local function remove_oldest_group(keys)
  if not keys.last_seen then
    keys.last_seen = {}
    for field, value in pairs(flat_to_map(redis.call('HGETALL', keys.failure_groups))) do
      local group, fact = string.match(field, '^(.*)"(%a+)"%]$')
      group = group or field
      if fact == 'last' or not keys.last_seen[group] then keys.last_seen[group] = fact == 'last' and tonumber(value) or 0 end
    end
  end
  local oldest
  for group, at in pairs(keys.last_seen) do
    if not oldest or at < keys.last_seen[oldest] then oldest = group end
  end
  keys.last_seen[oldest] = nil
  if keys.tracebacks then redis.call('HDEL', keys.tracebacks, oldest .. '"traceback"]') end
  redis.call('HDEL', keys.failure_groups, oldest, oldest .. '"count"]', oldest .. '"first"]', oldest .. '"last"]',
    oldest .. '"sample"]')
end

-- group: JSON '["task", "error type", ' without its last element; '' counts in no group.
local function group_failure(keys, group, now, id, message, increment)
  if group == '' then return end
  local counted = group .. '"count"]'
  if redis.call('HEXISTS', keys.failure_groups, counted) == 0 then
    if redis.call('HLEN', keys.failure_groups) >= FACTS_PER_GROUP * MAX_FAILURE_GROUPS then remove_oldest_group(keys) end
    redis.call('HSET', keys.failure_groups, group .. '"first"]', now)
  end
  redis.pcall('HINCRBY', keys.failure_groups, counted, increment)
  redis.call('HSET', keys.failure_groups, group .. '"last"]', now, group .. '"sample"]', id .. ' ' .. message)
  if keys.last_seen then keys.last_seen[group] = now end
end

-- Counts attempts that ended in an error. After a long pause it counts as new: it is seen for the first time again.
local function note_error(keys, now, group, attempts, id, message, traceback)
  local last = tonumber(redis.call('HGET', keys.failure_groups, group .. '"last"]') or nil)
  group_failure(keys, group, now, id, message, attempts)
  if last and now - last > ERROR_PAUSE_SECONDS then
    redis.call('HSET', keys.failure_groups, group .. '"first"]', now)
  end
  if traceback ~= '' then redis.call('HSET', keys.tracebacks, group .. '"traceback"]', traceback) end
end

-- Writes one dead letter. The caller removed foreign types before its first write.
-- keys: a table with failed, failed_data, failure_groups and counters.
local function keep_dead_letter(keys, now, id, record, group, message)
  redis.call('ZADD', keys.failed, now, id)
  redis.call('HSET', keys.failed_data, id, record)
  group_failure(keys, group, now, id, message, 1)
  trim_dead_letters(keys.failed, keys.failed_data, keys.counters, now)
end
