-- Accept jobs: push those that run now, keep those that wait for their date.
-- KEYS: future, producer lane, queue index, counters, counters of the minute, then one list per queue
-- ARGV: call number, lane ttl, channel, number of queues, number of dated jobs, number of counts,
--       per queue: name, number of texts, texts;
--       per dated job: index of its queue, due time, text;
--       per count: field, increment
-- Returns: server seconds, server microseconds, then 1 (waits) or 2 (pushed) per dated job
-- Retry: safe; a call number seen before changes nothing
-- include: lib

local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local queues, dated, counts = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local reply = { time[1], time[2] }
local again = redis.pcall('GET', KEYS[2])
if is_error(again) then redis.call('DEL', KEYS[2]) end
again = again == ARGV[1]

-- One key needs no look: its push is the first write, and fails alone.
if queues + dated > 1 or dated > 0 then
  for q = 1, queues do
    if not fits(KEYS[5 + q], 'list') then return redis.error_reply('WRONGTYPE ' .. KEYS[5 + q] .. ' is not a queue') end
  end
  if dated > 0 and not fits(KEYS[1], 'zset') then
    return redis.error_reply('WRONGTYPE ' .. KEYS[1] .. ' does not hold future jobs')
  end
end

local at = 7
local names = {}
for q = 1, queues do
  local name, texts = ARGV[at], tonumber(ARGV[at + 1])
  names[q] = name
  at = at + 2
  if not again then
    for from = at, at + texts - 1, 4000 do
      redis.call('RPUSH', KEYS[5 + q], unpack(ARGV, from, math.min(from + 3999, at + texts - 1)))
    end
  end
  at = at + texts
end
for i = 1, dated do
  local q, due, text = tonumber(ARGV[at]), ARGV[at + 1], ARGV[at + 2]
  at = at + 3
  local waits = tonumber(due) > now
  reply[2 + i] = waits and 1 or 2
  if not again then
    if waits then
      redis.call('ZADD', KEYS[1], due, with_status(text, 1))
    else
      redis.call('RPUSH', KEYS[5 + q], with_status(text, 2))
    end
  end
end
if again then return reply end

redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])
for q = 1, queues do
  local added = redis.pcall('SADD', KEYS[3], names[q])
  if is_error(added) then
    redis.pcall('DEL', KEYS[3])
    redis.pcall('SADD', KEYS[3], names[q])
  elseif added == 1 and redis.call('SCARD', KEYS[3]) > 1000 then
    redis.pcall('SREM', KEYS[3], names[q])
  end
end
count_all(KEYS[4], KEYS[5], at, counts)
news(ARGV[3])
return reply
