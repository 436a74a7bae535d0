-- Unregister a worker that stops.
-- KEYS: brokers, brokers_by_last_seen, brokers_seen, running, reserved
-- ARGV: worker_id, notifications
-- Returns: number of jobs it still holds; another worker recovers them, as from a dead worker
-- Retry: safe by nature
-- include: lib

redis.call('HDEL', brokers, worker_id)
redis.call('ZREM', brokers_by_last_seen, worker_id)
local held = fits(running, 'hash') and redis.call('HLEN', running) or 0
if held == 0 then
  redis.call('DEL', reserved)
  redis.pcall('ZREM', brokers_seen, worker_id)
else
  redis.pcall('ZADD', brokers_seen, 0, worker_id)
end
notify(notifications)
return held
