-- End running jobs: push them to their queue, keep them for a later date, or keep them as dead letters.
-- A worker ends its own jobs by it, and a survivor the jobs of a dead worker.
-- KEYS: brokers, running, reserved, future, limits, slots_taken, failed, failed_data, failure_groups,
--       attempt_errors, attempt_tracebacks, counters, counters_of_minute, brokers_seen, queue_key...
-- ARGV: worker_id, whose, notifications, jobs (number), count_pairs (number), errors (number), ...
--       whose: 'own' or 'dead'; then the jobs, then pairs of counter field and increment, then the errors
-- each job: held_as, expected, kind, task, queue, due, text, letter_id, group, message
--       expected: the text that must be held, of an own job its beginning, '' for any;
--       kind: 'push' | 'head' | 'date' | 'fail'; text: of the job, or for 'fail' the record of the dead letter;
--       group: the failure group, for 'head' the counter that took the job for started
-- each error: error_group, attempts, error_job, error_message, error_traceback
--       error_traceback: '' keeps the one before
-- Returns: 'revoked' (own, not registered) | 'alive' (dead, registered) | per job its new status, 0 when it was not
--          held, -1 when it is still held because the key where it has to wait holds another type
-- Retry: safe; a job that is not held any more is left alone, and counts are added only with a job
-- include: lib job_text slots counters failures

local own = whose == 'own'
local registered = redis.pcall('HEXISTS', brokers, worker_id) == 1
if own and not registered then return 'revoked' end
if not own and registered then return 'alive' end

local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local task_limits = read_limits(limits)
local slots = task_limits and read_slots(slots_taken)
local can_wait = fits(future, 'zset')
drop_foreign(running, 'hash')
drop_foreign_failures(failed, failed_data, failure_groups)
drop_foreign(reserved, 'hash')
drop_foreign(attempt_errors, 'hash')
drop_foreign(attempt_tracebacks, 'hash')
local usable = {}
for number = 1, queue_keys do usable[number] = fits(queue_key(number), 'list') end
local letter_keys = { failed = failed, failed_data = failed_data, failure_groups = failure_groups, counters = counters }

local function is_held(held_as, expected)
  if expected == '' then return true end
  local held = redis.call('HGET', running, held_as)
  if not held then return false end
  -- The beginning identifies the attempt: the job may have come back to this worker for another one.
  if own then return string.sub(held, 1, #expected) == expected end
  return held == expected
end

-- A queue whose key holds a foreign type cannot take the job: it waits in the future.
local function push(command, queue, text)
  if usable[queue] then
    redis.call(command, queue_key(queue), with_status(text, QUEUED))
    return QUEUED
  end
  redis.call('ZADD', future, now, with_status(text, WAITING))
  return WAITING
end

local function place(kind, queue, due, text)
  if kind == 'head' then return push('LPUSH', queue, text) end
  if kind == 'push' or tonumber(due) <= now then return push('RPUSH', queue, text) end
  redis.call('ZADD', future, due, with_status(text, WAITING))
  return WAITING
end

local reply, changed = {}, false
local at = first_record
for number = 1, jobs do
  local held_as, expected, kind, task, queue, due, text, letter_id, group, message = read_job(at)
  at = at + job_size
  queue = tonumber(queue)
  local must_wait = kind ~= 'fail' and (not usable[queue] or (kind == 'date' and tonumber(due) > now))
  if must_wait and not can_wait then
    reply[number] = -1
  elseif is_held(held_as, expected) and redis.call('HDEL', running, held_as) == 1 then
    changed = true
    local was_reserved = redis.call('HDEL', reserved, held_as) == 1
    if kind == 'fail' then
      -- A microsecond apart, so that dead letters keep the order of the jobs.
      keep_dead_letter(letter_keys, now + number / 1000000, letter_id, text, group, message)
      reply[number] = FAILED
    else
      reply[number] = place(kind, queue, due, text)
    end
    -- The worker claimed the job and gives it back: it did not start after all.
    if kind == 'head' and not was_reserved then count(counters, counters_of_minute, group, -1) end
    if task_limits and task_limits[task] then
      set_slots(slots_taken, slots, task, (tonumber(slots[task]) or 0) - 1)
    end
  else
    reply[number] = 0
  end
end
if not own and redis.call('EXISTS', running) == 0 then
  redis.call('DEL', reserved)
  redis.pcall('ZREM', brokers_seen, worker_id)
end
if changed then
  count_all(counters, counters_of_minute, at, count_pairs)
  at = at + 2 * count_pairs
  local groups = { failure_groups = attempt_errors, tracebacks = attempt_tracebacks }
  for _ = 1, errors do
    note_error(groups, now, read_error(at))
    at = at + error_size
  end
  notify(notifications)
end
return reply
