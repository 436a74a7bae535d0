-- Shared by the scripts that keep dead letters, put after lib.lua.

local MAX_FAILED = 10000
local MAX_FAILED_AGE = 2592000
local MAX_GROUP_FIELDS = 2000 -- four facts a group

local function heal_failed(failed, data, groups)
  heal(failed, 'zset')
  heal(data, 'hash')
  heal(groups, 'hash')
end

local function trim_failed(failed, data, counters, now)
  local old = redis.call('ZRANGEBYSCORE', failed, '-inf', now - MAX_FAILED_AGE, 'LIMIT', 0, 100)
  local excess = redis.call('ZCARD', failed) - #old - MAX_FAILED
  if excess > 0 then
    for _, id in ipairs(redis.call('ZRANGE', failed, #old, #old + math.min(excess, 100) - 1)) do old[#old + 1] = id end
  end
  if #old == 0 then return end
  redis.call('ZREM', failed, unpack(old))
  redis.call('HDEL', data, unpack(old))
  add_to(counters, '["", "", "dead_letters_trimmed"]', #old)
end

-- group: JSON '["task", "error type", ' without its last element; '' counts in no group.
local function group_failure(groups, group, now, id, message)
  if group == '' then return end
  local counted = group .. '"count"]'
  if redis.call('HEXISTS', groups, counted) == 0 then
    if redis.call('HLEN', groups) >= MAX_GROUP_FIELDS then return end
    redis.call('HSET', groups, group .. '"first"]', now)
  end
  redis.pcall('HINCRBY', groups, counted, 1)
  redis.call('HSET', groups, group .. '"last"]', now, group .. '"sample"]', id .. ' ' .. message)
end

-- Writes one dead letter. The keys were healed before the first write.
local function bury(keys, now, id, record, group, message)
  redis.call('ZADD', keys.failed, now, id)
  redis.call('HSET', keys.data, id, record)
  group_failure(keys.groups, group, now, id, message)
  trim_failed(keys.failed, keys.data, keys.counters, now)
end
