-- Push one job for each periodic task whose run is due, and plan its next run.
-- KEYS: periodic queue, counters, counters of the minute, queue index, then one list per queue
-- ARGV: channel, number of tasks, per task: name, planned run as read, next run, index of its queue, text,
--       counter field, queue name
-- Returns: per task 1 (pushed), 0 (another worker did it), -1 (its queue's key is foreign)
-- Retry: safe; a run that was planned anew is another run
-- include: lib

if not fits(KEYS[1], 'zset') then return redis.error_reply('WRONGTYPE ' .. KEYS[1] .. ' does not hold periodic tasks') end
redis.call('ZREM', KEYS[1], '') -- allowed when memory is full, and so is then the rest
local usable = {}
for q = 5, #KEYS do usable[q] = fits(KEYS[q], 'list') end
local reply, pushed = {}, false
for task = 1, tonumber(ARGV[2]) do
  local at = 3 + (task - 1) * 7
  local planned = redis.call('ZSCORE', KEYS[1], ARGV[at])
  local q = 4 + tonumber(ARGV[at + 3])
  if not planned or tonumber(planned) ~= tonumber(ARGV[at + 1]) then
    reply[task] = 0
  else
    redis.call('ZADD', KEYS[1], 'XX', ARGV[at + 2], ARGV[at])
    if usable[q] then
      redis.call('RPUSH', KEYS[q], ARGV[at + 4])
      redis.pcall('SADD', KEYS[4], ARGV[at + 6])
      count(KEYS[2], KEYS[3], ARGV[at + 5], 1)
      reply[task] = 1
      pushed = true
    else
      reply[task] = -1
    end
  end
end
if pushed then news(ARGV[1]) end
return reply
