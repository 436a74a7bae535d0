-- Unregister a worker that stops.
-- KEYS: brokers, brokers by sight, brokers seen, running, reserved
-- ARGV: worker id, channel
-- Returns: number of jobs it still holds; they are recovered like a dead worker's
-- Retry: safe by nature
-- include: lib

redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
local held = fits(KEYS[4], 'hash') and redis.call('HLEN', KEYS[4]) or 0
if held == 0 then
  redis.call('DEL', KEYS[5])
  redis.pcall('ZREM', KEYS[3], ARGV[1])
else
  redis.pcall('ZADD', KEYS[3], 0, ARGV[1])
end
news(ARGV[2])
return held
