-- Register a worker.
-- KEYS: brokers, brokers by sight, brokers seen, layout
-- ARGV: worker id, JSON up to last_seen_at's value, layout version, most ids to remember
-- Returns: 0, or the layout version that is newer than ours (nothing is written)
-- Retry: safe by nature
-- include: lib

local layout = redis.pcall('GET', KEYS[4])
layout = not is_error(layout) and tonumber(layout) or 0
if layout > tonumber(ARGV[3]) then return layout end
heal(KEYS[1], 'hash')
heal(KEYS[2], 'zset')
heal(KEYS[3], 'zset')
local now = redis.call('TIME')[1]
redis.call('HDEL', KEYS[1], ARGV[1]) -- allowed when memory is full, and so is then the rest
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. now .. '}')
redis.call('ZADD', KEYS[2], now, ARGV[1])
redis.call('ZADD', KEYS[3], now, ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1 - ARGV[4])
if layout < tonumber(ARGV[3]) then redis.call('SET', KEYS[4], ARGV[3]) end
return 0
