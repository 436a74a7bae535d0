-- Push one job for each periodic task whose run is due, and plan its next run.
-- KEYS: periodic_queue, counters, counters_of_minute, queues, queue_key...
-- ARGV: notifications, tasks (number), ...
-- each task: name, planned, following, queue, text, counter, queue_name
--       planned: the run as the caller read it; following: the run after it
-- Returns: per task 1 (pushed), 0 (another worker did it), -1 (its queue's key holds a foreign type)
-- Retry: safe; once the next run is planned, the run of the first call is not due any more
-- include: lib counters

if not fits(periodic_queue, 'zset') then return wrong_type(periodic_queue, 'periodic tasks') end
redis.call('ZREM', periodic_queue, '') -- when memory is full, Redis allows a deletion, and after it the other writes
local usable = {}
for number = 1, queue_keys do usable[number] = fits(queue_key(number), 'list') end
local reply, pushed = {}, false
for number = 1, tasks do
  local at = first_record + (number - 1) * task_size
  local name, planned, following, queue, text, counter, queue_name = read_task(at)
  local found = redis.call('ZSCORE', periodic_queue, name)
  if not found or tonumber(found) ~= tonumber(planned) then
    reply[number] = 0
  else
    redis.call('ZADD', periodic_queue, 'XX', following, name)
    if usable[tonumber(queue)] then
      redis.call('RPUSH', queue_key(queue), text)
      redis.pcall('SADD', queues, queue_name)
      count(counters, counters_of_minute, counter, 1)
      reply[number] = 1
      pushed = true
    else
      reply[number] = -1
    end
  end
end
if pushed then notify(notifications) end
return reply
