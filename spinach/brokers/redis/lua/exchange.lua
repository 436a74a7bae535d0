-- One call of a worker: acknowledge, claim, fetch.
-- KEYS: brokers, running, reserved, queue, limits, slots taken, counters, counters of the minute, histograms
-- ARGV: worker id, call number, room, extra, prefetch, channel, queue name as JSON,
--       numbers of done jobs, starting jobs, counts, histogram increments,
--       per done job: held as, task; per starting job: held as; per count and histogram: field, increment
-- Returns: 'revoked' | 'again' | {claimed texts, reserved texts with their field each, queue error, now s, now us}
-- Retry: safe; a call number seen before returns 'again', and what is held tells the rest
-- include: lib

local BLOCKED_MAX = 1000
local PAGE_MIN = 100

if redis.pcall('HEXISTS', KEYS[1], ARGV[1]) ~= 1 then return 'revoked' end
local last = redis.pcall('HGET', KEYS[3], 'seq')
if is_error(last) then redis.call('DEL', KEYS[3]) end
if last == ARGV[2] then return 'again' end

local limits = limits_of(KEYS[5])
local slots = limits and slots_of(KEYS[6])

-- Which job may be held, and as what. Reads only.
local room, extra, prefetch = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local taken, claimed, reserved, running, marks = {}, {}, {}, {}, {}
local started, limited = {}, {}
local first = 12
local done = tonumber(ARGV[8])

-- Slots that this call frees count as free for what it fetches.
if limits then
  for i = first, first + 2 * done - 1, 2 do
    local task = ARGV[i + 1]
    if limits[task] and redis.call('HEXISTS', KEYS[2], ARGV[i]) == 1 then
      slots[task] = (tonumber(slots[task]) or 0) - 1
    end
  end
end
local blocked, queue_error = 0, ''

local function hold(raw, field, text)
  taken[#taken + 1] = raw
  running[#running + 1] = field
  running[#running + 1] = text
end

local function reserve(raw, field)
  hold(raw, field, raw)
  reserved[#reserved + 1] = raw
  reserved[#reserved + 1] = field
  marks[#marks + 1] = field
  marks[#marks + 1] = 'r'
end

local function claim(raw, id, position, task)
  hold(raw, id, string.sub(raw, 1, position - 1) .. '3' .. string.sub(raw, position + 1))
  claimed[#claimed + 1] = raw
  started[task] = (started[task] or 0) + 1
end

local function is_blocked(task)
  local limit = limits and task and tonumber(limits[task])
  if not limit then return false, false end
  return (tonumber(slots[task]) or 0) + (limited[task] or 0) >= limit, true
end

-- A text in another spelling: the worker reads it, and starts it by a later call.
local function take_odd(raw)
  if room < 1 then return false end
  local ok, job = pcall(cjson.decode, raw)
  local known = ok and type(job) == 'table'
  local task = known and type(job.task_name) == 'string' and job.task_name
  local full, is_limited = is_blocked(task)
  if full then
    blocked = blocked + 1
    return true
  end
  room = room - 1
  if is_limited then limited[task] = (limited[task] or 0) + 1 end
  local field = known and type(job.id) == 'string' and #job.id == 36 and job.id or 'sha1:' .. redis.sha1hex(raw)
  reserve(raw, field)
  return true
end

-- Returns false when the queue's next job cannot be held.
local function take(raw)
  local id, max_retries, retries, position = head_of(raw)
  local task = id and task_of(raw)
  if not task then return take_odd(raw) end
  local full, is_limited = is_blocked(task)
  if full then
    blocked = blocked + 1
    return true
  end
  local repeatable = tonumber(retries) < tonumber(max_retries) and not is_limited
  if room > 0 then
    room = room - 1
  elseif not repeatable then
    return false
  elseif extra > 0 then
    extra = extra - 1
  elseif prefetch > 0 then
    prefetch = prefetch - 1
    reserve(raw, id)
    return true
  else
    return false
  end
  if is_limited then limited[task] = (limited[task] or 0) + 1 end
  claim(raw, id, position, task)
  return true
end

local function choose()
  local index = 0
  while blocked < BLOCKED_MAX do
    local want = room + extra + prefetch
    if want < 1 then return end
    if blocked > 0 then want = math.max(want, PAGE_MIN) end
    local page = redis.pcall('LRANGE', KEYS[4], index, index + want - 1)
    if is_error(page) then
      queue_error = page.err
      return
    end
    for _, raw in ipairs(page) do
      if not take(raw) or blocked >= BLOCKED_MAX then return end
    end
    if #page < want then return end
    index = index + want
  end
end
choose()

-- From here on writes; the first ones are allowed when memory is full.
local at = first
local starting = tonumber(ARGV[9])
-- What is popped must have a place to go to.
if #taken + done > 0 then heal(KEYS[2], 'hash') end
local counts, increments = tonumber(ARGV[10]), tonumber(ARGV[11])
local freed = false
local ids = {}
for i = at, at + 2 * done - 1, 2 do
  local task = limits and limits[ARGV[i + 1]] and ARGV[i + 1]
  if not task then
    ids[#ids + 1] = ARGV[i]
  elseif redis.call('HDEL', KEYS[2], ARGV[i]) == 1 then
    set_slots(KEYS[6], slots, task, tonumber(slots[task]) or 0) -- counted down above
    freed = true
  end
end
at = at + 2 * done
for from = 1, #ids, 4000 do redis.call('HDEL', KEYS[2], unpack(ids, from, math.min(from + 3999, #ids))) end

if blocked == 0 then
  if #taken > 0 then redis.call('LPOP', KEYS[4], #taken) end
else
  for _, raw in ipairs(taken) do redis.call('LREM', KEYS[4], 1, raw) end
end
for from = 1, #running, 4000 do
  redis.call('HSET', KEYS[2], unpack(running, from, math.min(from + 3999, #running)))
end
for task, increment in pairs(limited) do
  set_slots(KEYS[6], slots, task, (tonumber(slots[task]) or 0) + increment)
end
if starting > 0 then redis.call('HDEL', KEYS[3], unpack(ARGV, at, at + starting - 1)) end
at = at + starting
if #taken + done + starting + counts + increments > 0 then
  marks[#marks + 1] = 'seq'
  marks[#marks + 1] = ARGV[2]
  -- Where this is the first write: a deletion is allowed when memory is full, and so is then the rest.
  if #taken + done == 0 then redis.call('HDEL', KEYS[3], '') end
  redis.call('HSET', KEYS[3], unpack(marks))
end

for task, increment in pairs(started) do
  count(KEYS[7], KEYS[8], '[' .. ARGV[7] .. ', "' .. task .. '", "started"]', increment)
end
count_all(KEYS[7], KEYS[8], at, counts)
at = at + 2 * counts
for i = at, at + 2 * increments - 1, 2 do add_to(KEYS[9], ARGV[i], ARGV[i + 1], MAX_FIELDS) end
if freed then news(ARGV[6]) end
return { claimed, reserved, queue_error }
