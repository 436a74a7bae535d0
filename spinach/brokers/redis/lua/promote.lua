-- Move due jobs from the future to their queues.
-- KEYS: future, counters, counters of the minute, queue index, then one list per queue
-- ARGV: channel, number of jobs, per job: text, index of its queue, counter field
-- Returns: per job 1 (moved), 0 (no longer there), -1 (its queue's key is foreign; looked at again in a minute)
-- Retry: safe; only what still stands there moves
-- include: lib

local RELOOK_SECONDS = 60
local jobs = tonumber(ARGV[2])
if not fits(KEYS[1], 'zset') then return redis.error_reply('WRONGTYPE ' .. KEYS[1] .. ' does not hold future jobs') end
local usable, texts = {}, {}
for q = 5, #KEYS do
  usable[q] = fits(KEYS[q], 'list')
  texts[q] = {}
end
local time = redis.call('TIME')

local reply, fields, moved = {}, {}, 0
for job = 1, jobs do
  local at = 3 + (job - 1) * 3
  local text, q, field = ARGV[at], 4 + tonumber(ARGV[at + 1]), ARGV[at + 2]
  if not usable[q] then
    reply[job] = redis.call('ZADD', KEYS[1], 'XX', time[1] + RELOOK_SECONDS, text) and -1
  elseif redis.call('ZREM', KEYS[1], text) == 0 then
    reply[job] = 0
  else
    texts[q][#texts[q] + 1] = with_status(text, 2)
    fields[field] = (fields[field] or 0) + 1
    reply[job] = 1
    moved = moved + 1
  end
end
for q, list in pairs(texts) do
  for from = 1, #list, 4000 do redis.call('RPUSH', KEYS[q], unpack(list, from, math.min(from + 3999, #list))) end
end
for field, increment in pairs(fields) do count(KEYS[2], KEYS[3], field, increment) end
if moved > 0 then news(ARGV[1]) end
return reply
