-- Move due jobs from the future to their queues.
-- KEYS: future, counters, counters_of_minute, queue_key...
-- ARGV: notifications, jobs (number), ...
-- each job: text, queue, counter
-- Returns: per job 1 (moved), 0 (no longer there), -1 (its queue's key holds a foreign type; it is due again later)
-- Retry: safe; only what is still there moves
-- include: lib job_text counters

if not fits(future, 'zset') then return wrong_type(future, 'future jobs') end
local usable, texts = {}, {}
for number = 1, queue_keys do
  usable[number] = fits(queue_key(number), 'list')
  texts[number] = {}
end
local due_again = redis.call('TIME')[1] + FOREIGN_QUEUE_PAUSE_SECONDS

local reply, increments, moved = {}, {}, 0
for number = 1, jobs do
  local at = first_record + (number - 1) * job_size
  local text, queue, counter = read_job(at)
  queue = tonumber(queue)
  if not usable[queue] then
    reply[number] = redis.call('ZADD', future, 'XX', due_again, text) and -1
  elseif redis.call('ZREM', future, text) == 0 then
    reply[number] = 0
  else
    texts[queue][#texts[queue] + 1] = with_status(text, QUEUED)
    increments[counter] = (increments[counter] or 0) + 1
    reply[number] = 1
    moved = moved + 1
  end
end
for queue, list in ipairs(texts) do call_in_chunks('RPUSH', queue_key(queue), list, 1, #list) end
for counter, increment in pairs(increments) do count(counters, counters_of_minute, counter, increment) end
if moved > 0 then notify(notifications) end
return reply
