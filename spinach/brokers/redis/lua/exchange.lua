-- One call of a worker: acknowledge jobs that are done, start reserved jobs, take more.
-- KEYS: brokers, running, reserved, queue, parked, parked_counts, limits, slots_taken, counters, counters_of_minute,
--       histograms
-- ARGV: worker_id, call_number, free_slots (number), claim_ahead (number), reserve_ahead (number), notifications,
--       queue_name, queue_json, done_count (number), starting_count (number), count_pairs (number), histogram_pairs (number), ...
--       then the done jobs; under what each starting job is held; pairs of counter field and increment;
--       pairs of histogram field and increment
-- each done: held_as, task
-- Returns: 'revoked' | 'again' | {claimed texts, reserved texts with their field each, error of the queue,
--          1 when the call stopped before the end of the queue and should be followed by another}
-- Retry: safe; a call number seen before returns 'again', and the worker reads what it holds
-- include: lib job_text slots parked counters

-- Behind a blocked job, smaller pages would mean a read per job.
local MIN_PAGE = 100
local RUNNING_DIGIT = 'RUNNING' -- the loader writes the number
local time = redis.call('TIME')
-- A held text says since when its job runs; whoever moves it on writes a text without that. A job that was
-- reserved gets its date anew when it starts. Only short jobs start by the dozen, right after they were reserved:
-- they keep the first date, because a read and a write per job would cost a fifth of the call.
local MAX_EXACT_STARTS = 8
local STARTED_NOW = string.format('%s, "started_at": %d.%06d', RUNNING_DIGIT, time[1], time[2])

if redis.pcall('HEXISTS', brokers, worker_id) ~= 1 then return 'revoked' end
local last_call = redis.pcall('HGET', reserved, 'seq')
if is_error(last_call) then redis.call('DEL', reserved) end
if last_call == call_number then return 'again' end

local task_limits = read_limits(limits)
local slots = task_limits and read_slots(slots_taken)

local first_done = first_record
local first_starting = first_done + done_size * done_count
local first_count = first_starting + starting_count
local first_histogram = first_count + 2 * count_pairs

-- Slots that this call frees are free for the jobs that it takes.
if task_limits then
  for at = first_done, first_starting - 1, done_size do
    local held_as, task = read_done(at)
    if task_limits[task] and redis.call('HEXISTS', running, held_as) == 1 then
      slots[task] = (tonumber(slots[task]) or 0) - 1
    end
  end
end

-- Choose the jobs to take, and whether each is claimed or reserved. Reads only.
local taken, claimed, reserved_jobs, held, marks = {}, {}, {}, {}, {}
local started, limited = {}, {}
local queue_error = ''
-- Jobs of the queue that a limit holds back. The call looks past them; when they are many, it parks them.
local blocked, blocked_tasks = {}, {}
-- Tasks whose older jobs are parked: those in the queue come after them.
local has_parked = {}
local unparked = {}

local function hold(raw, field, text)
  taken[#taken + 1] = raw
  held[#held + 1] = field
  held[#held + 1] = text
end

local function started_text(raw, position)
  return string.sub(raw, 1, position - 1) .. STARTED_NOW .. string.sub(raw, position + 1)
end

local function reserve(raw, field, text)
  hold(raw, field, text)
  reserved_jobs[#reserved_jobs + 1] = raw
  reserved_jobs[#reserved_jobs + 1] = field
  marks[#marks + 1] = field
  marks[#marks + 1] = 'r'
end

local function claim(raw, id, position, task)
  hold(raw, id, started_text(raw, position))
  claimed[#claimed + 1] = raw
  started[task] = (started[task] or 0) + 1
end

-- Returns whether a job of a task has to wait for others of it, whether the task has a limit, and its free slots.
local function limit_state(task)
  local limit = task_limits and task and tonumber(task_limits[task])
  if not limit then return false, false end
  local taken_slots = (tonumber(slots[task]) or 0) + (limited[task] or 0)
  return taken_slots >= limit or has_parked[task] or false, true, limit - taken_slots
end

local function look_past(raw, task)
  blocked[#blocked + 1] = raw
  blocked_tasks[#blocked] = task
end

-- Take a text in another spelling: reserved, so that the worker reads it before it starts it by a later call.
local function take_otherwise_spelled(raw)
  if free_slots < 1 then return false end
  local ok, job = pcall(cjson.decode, raw)
  local known = ok and type(job) == 'table'
  local task = known and type(job.task_name) == 'string' and job.task_name
  local full, is_limited = limit_state(task)
  if full then
    look_past(raw, task)
    return true
  end
  free_slots = free_slots - 1
  if is_limited then limited[task] = (limited[task] or 0) + 1 end
  local field = known and type(job.id) == 'string' and #job.id == 36 and job.id or 'sha1:' .. redis.sha1hex(raw)
  reserve(raw, field, raw)
  return true
end

-- Returns false when the worker cannot hold the queue's next job.
local function take(raw)
  local id, max_retries, retries, position = head_of(raw)
  local task = id and task_of(raw)
  if not task then return take_otherwise_spelled(raw) end
  local full, is_limited = limit_state(task)
  if full then
    look_past(raw, task)
    return true
  end
  local repeatable = tonumber(retries) < tonumber(max_retries) and not is_limited
  if free_slots > 0 then
    free_slots = free_slots - 1
  elseif not repeatable then
    return false
  elseif claim_ahead > 0 then
    claim_ahead = claim_ahead - 1
  elseif reserve_ahead > 0 then
    reserve_ahead = reserve_ahead - 1
    reserve(raw, id, started_text(raw, position))
    return true
  else
    return false
  end
  if is_limited then limited[task] = (limited[task] or 0) + 1 end
  claim(raw, id, position, task)
  return true
end

local function wanted()
  return free_slots + claim_ahead + reserve_ahead
end

-- Returns the oldest parked jobs that may run, as {place, text, task, member}; of each task one more than it may start.
local function parked_candidates()
  local candidates, from = {}, '-'
  while true do
    local first = parked_from(parked, from, '+', 1)[1]
    if not first then return candidates end
    from = after_task(first)
    local task = task_in(parked_text(first))
    local full, is_limited, free = limit_state(task)
    if full then
      has_parked[task] = true
    else
      local count = is_limited and math.min(free, free_slots) or wanted()
      for _, member in ipairs(parked_from(parked, '[' .. first, before_next(first), count + 1)) do
        candidates[#candidates + 1] = { parked_place(member), parked_text(member), task, member }
      end
    end
  end
end

-- Parked jobs come first: they are older than those in the queue. Returns false when the worker cannot hold the next.
local function take_parked()
  local candidates = parked_candidates()
  table.sort(candidates, function(one, other) return one[1] < other[1] end)
  for _, candidate in ipairs(candidates) do
    local _, text, task, member = unpack(candidate)
    if limit_state(task) then
      has_parked[task] = true
    elseif take(text) then
      unparked[#unparked + 1] = member
    else
      return false
    end
  end
  return true
end

local function only_workers_that_park()
  for _, record in ipairs(redis.call('HVALS', brokers)) do
    if not string.find(record, '"version": ', 1, true) then return false end
  end
  return true
end

-- How many elements at the head of the queue were taken or looked past.
local passed = 0
local parks, stopped_early

-- Returns whether the call has looked past as many jobs as it may.
local function has_looked_past_enough()
  if parks == nil then parks = only_workers_that_park() end
  stopped_early = #blocked >= (parks and MAX_PARKED or MAX_BLOCKED_LOOKED_PAST)
  return stopped_early
end

local function choose()
  while wanted() > 0 do
    local want = wanted()
    if #blocked > 0 then want = math.max(want, MIN_PAGE) end
    local page = redis.pcall('LRANGE', queue, passed, passed + want - 1)
    if is_error(page) then
      queue_error = page.err
      return
    end
    for _, raw in ipairs(page) do
      if not take(raw) then return end
      passed = passed + 1
      if #blocked >= MIN_PARKED and has_looked_past_enough() then return end
    end
    if #page < want then return end
  end
end

local parked_count = task_limits and redis.pcall('ZCARD', parked) or 0
if parked_count == 0 or is_error(parked_count) or take_parked() then choose() end
local taken_from_queue = #taken - #unparked

-- Writes begin here. When memory is full, Redis allows a deletion, and after it the other writes of the script:
-- that is why each path below begins with one.
-- Repair the running hash before popping, or a popped job would be lost.
if #taken + done_count > 0 then drop_foreign(running, 'hash') end
local freed = false
local unlimited = {}
for at = first_done, first_starting - 1, done_size do
  local held_as, task = read_done(at)
  if not (task_limits and task_limits[task]) then
    unlimited[#unlimited + 1] = held_as
  elseif redis.call('HDEL', running, held_as) == 1 then
    set_slots(slots_taken, slots, task, tonumber(slots[task]) or 0) -- counted down above
    freed = true
  end
end
call_in_chunks('HDEL', running, unlimited, 1, #unlimited)

call_in_chunks('ZREM', parked, unparked, 1, #unparked)
if parks then
  redis.call('LPOP', queue, passed)
  drop_foreign(parked, 'zset')
  park(parked, blocked, blocked_tasks)
elseif #blocked > 0 then
  for at = #unparked + 1, #taken do redis.call('LREM', queue, 1, taken[at]) end
elseif taken_from_queue > 0 then
  redis.call('LPOP', queue, taken_from_queue)
end
if parks or #unparked > 0 then note_parked(parked, parked_counts, queue_name) end
call_in_chunks('HSET', running, held, 1, #held)
for task, increment in pairs(limited) do
  set_slots(slots_taken, slots, task, (tonumber(slots[task]) or 0) + increment)
end
local starting = {}
for at = first_starting, starting_count <= MAX_EXACT_STARTS and first_count - 1 or 0 do
  local raw = redis.call('HGET', running, ARGV[at])
  local id, _, _, position = head_of(raw or '')
  if id then
    starting[#starting + 1] = ARGV[at]
    starting[#starting + 1] = started_text(raw, position)
  end
end
call_in_chunks('HDEL', reserved, ARGV, first_starting, first_count - 1)
call_in_chunks('HSET', running, starting, 1, #starting)
if #taken + done_count + starting_count + count_pairs + histogram_pairs > 0 then
  marks[#marks + 1] = 'seq'
  marks[#marks + 1] = call_number
  if #taken + done_count == 0 then redis.call('HDEL', reserved, '') end
  call_in_chunks('HSET', reserved, marks, 1, #marks)
end

for task, increment in pairs(started) do
  count(counters, counters_of_minute, '[' .. queue_json .. ', "' .. task .. '", "started"]', increment)
end
count_all(counters, counters_of_minute, first_count, count_pairs)
for at = first_histogram, first_histogram + 2 * histogram_pairs - 1, 2 do
  add_to(histograms, ARGV[at], ARGV[at + 1], MAX_COUNTER_FIELDS)
end
if freed then notify(notifications) end
return { claimed, reserved_jobs, queue_error, parks and stopped_early and 1 or 0 }
