-- End running jobs: requeue, retry later, or keep as dead letters. For a worker's own jobs, and a dead one's.
-- KEYS: brokers, running, reserved, future, limits, slots taken, failed, failed data, failure groups,
--       counters, counters of the minute, brokers seen, then one list per queue
-- ARGV: worker id, 'own' or 'dead', channel, number of jobs, number of counts,
--       per job (10): held as, expected text (own: its beginning) or '', 'push' | 'date' | 'fail' | 'head', task, index of its queue,
--                     due time, text or record, dead letter id, failure group, message;
--       per count: field, increment
-- Returns: 'revoked' (own, not registered) | 'alive' (dead, registered) | per job 0 (not held) 1 (waits)
--          2 (queued) 5 (dead letter) -1 (still held: the key where it has to wait holds another type)
-- Retry: safe; a job that is not held any more is left alone, and counts are added only with a job
-- include: lib failures

local own = ARGV[2] == 'own'
local registered = redis.pcall('HEXISTS', KEYS[1], ARGV[1]) == 1
if own and not registered then return 'revoked' end
if not own and registered then return 'alive' end

local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local jobs, counts = tonumber(ARGV[4]), tonumber(ARGV[5])
local fields = 10
local limits = limits_of(KEYS[5])
local slots = limits and slots_of(KEYS[6])
local can_wait = fits(KEYS[4], 'zset')
heal(KEYS[2], 'hash')
heal_failed(KEYS[7], KEYS[8], KEYS[9])
heal(KEYS[3], 'hash')
local usable = {}
for q = 13, #KEYS do usable[q] = fits(KEYS[q], 'list') end
local dead_letters = { failed = KEYS[7], data = KEYS[8], groups = KEYS[9], counters = KEYS[10] }

local function is_held(at)
  if ARGV[at + 1] == '' then return true end
  local held, expected = redis.call('HGET', KEYS[2], ARGV[at]), ARGV[at + 1]
  if not held then return false end
  -- The worker's own job is known by the beginning of its text; it may have come back meanwhile, for another attempt.
  if own then return string.sub(held, 1, #expected) == expected end
  return held == expected
end

-- A queue whose key is foreign cannot take the job: it waits among the future ones.
local function push(command, at)
  local key = 12 + tonumber(ARGV[at + 4])
  if usable[key] then
    redis.call(command, KEYS[key], with_status(ARGV[at + 6], 2))
    return 2
  end
  redis.call('ZADD', KEYS[4], now, with_status(ARGV[at + 6], 1))
  return 1
end

local function has_no_place(at)
  if can_wait or ARGV[at + 2] == 'fail' then return false end
  return not usable[12 + tonumber(ARGV[at + 4])] or (ARGV[at + 2] == 'date' and tonumber(ARGV[at + 5]) > now)
end

local function place(at, job)
  local kind = ARGV[at + 2]
  if kind == 'fail' then
    -- Microseconds apart, so that their order is kept.
    bury(dead_letters, now + job / 1000000, ARGV[at + 7], ARGV[at + 6], ARGV[at + 8], ARGV[at + 9])
    return 5
  end
  if kind == 'head' then return push('LPUSH', at) end
  if kind == 'push' or tonumber(ARGV[at + 5]) <= now then return push('RPUSH', at) end
  redis.call('ZADD', KEYS[4], ARGV[at + 5], with_status(ARGV[at + 6], 1))
  return 1
end

local reply, changed = {}, false
for job = 1, jobs do
  local at = 6 + (job - 1) * fields
  if has_no_place(at) then
    reply[job] = -1
  elseif is_held(at) and redis.call('HDEL', KEYS[2], ARGV[at]) == 1 then
    changed = true
    local was_reserved = redis.call('HDEL', KEYS[3], ARGV[at]) == 1
    reply[job] = place(at, job)
    -- Handed out as claimed, given back unstarted: it did not start after all.
    if ARGV[at + 2] == 'head' and not was_reserved then count(KEYS[10], KEYS[11], ARGV[at + 8], -1) end
    local task = ARGV[at + 3]
    if limits and limits[task] then set_slots(KEYS[6], slots, task, (tonumber(slots[task]) or 0) - 1) end
  else
    reply[job] = 0
  end
end
if not own and redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('DEL', KEYS[3])
  redis.pcall('ZREM', KEYS[12], ARGV[1])
end
if changed then
  count_all(KEYS[10], KEYS[11], 6 + jobs * fields, counts)
  news(ARGV[3])
end
return reply
