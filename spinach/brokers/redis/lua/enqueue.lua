-- Accept jobs: push those that run now, keep those that wait for their date.
-- KEYS: future, producer, queues, counters, counters_of_minute, queue_key...
-- ARGV: call_number, notifications, queue_count (number), dated_count (number), count_pairs (number), stamps, ...
--       stamps: '1' when the client does not know the server's time yet
--       then the queues, each followed by its texts; the dated jobs; pairs of counter field and increment
-- each queue: name, texts
-- each dated: queue, due, text
-- Returns: server seconds, server microseconds, then the status of each dated job: waiting or queued
-- Retry: safe; a call number seen before changes nothing
-- include: lib job_text counters

local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local reply = { time[1], time[2] }
local last_call = redis.pcall('GET', producer)
if is_error(last_call) then redis.call('DEL', producer) end
local again = last_call == call_number

-- With one queue alone no check is needed: its push is the first write and fails before anything changed.
if queue_count + dated_count > 1 or dated_count > 0 then
  for number = 1, queue_count do
    if not fits(queue_key(number), 'list') then return wrong_type(queue_key(number), 'a queue') end
  end
  if dated_count > 0 and not fits(future, 'zset') then return wrong_type(future, 'future jobs') end
end

-- Until a process hears from this server, its dates are by its own clock, which may be wrong.
local function stamped(text)
  local date, micros, rest = string.match(text, '^{"at": (%-?%d+), "at_us": (%d+), "enqueued_at": %d+%.%d+()')
  if not date then return text end
  if tonumber(date) > now then date, micros = time[1], time[2] end
  return string.format('{"at": %s, "at_us": %s, "enqueued_at": %d.%06d', date, micros, time[1], time[2])
    .. string.sub(text, rest)
end

local at = first_record
local names = {}
for number = 1, queue_count do
  local name, texts = read_queue(at)
  names[number] = name
  local first = at + queue_size
  at = first + texts
  if stamps == '1' then
    for i = first, at - 1 do ARGV[i] = stamped(ARGV[i]) end
  end
  if not again then call_in_chunks('RPUSH', queue_key(number), ARGV, first, at - 1) end
end
for i = 1, dated_count do
  local queue, due, text = read_dated(at)
  at = at + dated_size
  local waits = tonumber(due) > now
  reply[2 + i] = waits and WAITING or QUEUED
  if again then
    -- The first call did it.
  elseif waits then
    redis.call('ZADD', future, due, with_status(text, WAITING))
  else
    redis.call('RPUSH', queue_key(queue), with_status(text, QUEUED))
  end
end
if again then return reply end

redis.call('SET', producer, call_number, 'EX', PRODUCER_TTL_SECONDS)
for _, name in ipairs(names) do
  local added = redis.pcall('SADD', queues, name)
  if is_error(added) then
    redis.pcall('DEL', queues)
    redis.pcall('SADD', queues, name)
  elseif added == 1 and redis.call('SCARD', queues) > MAX_QUEUES then
    redis.pcall('SREM', queues, name)
  end
end
count_all(counters, counters_of_minute, at, count_pairs)
notify(notifications)
return reply
