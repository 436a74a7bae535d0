-- Write the truth about concurrency slots: count what runs.
-- KEYS: brokers, limits, slots taken, limits checked, then one running hash per worker
-- ARGV: channel, milliseconds for which the count holds, number of registered workers among the running hashes
-- Returns: 1 when counted, 0 when it was counted a moment ago or the workers changed meanwhile
-- Retry: safe by nature
-- include: lib

local limits = limits_of(KEYS[2])
if not limits then return 0 end
if redis.call('HLEN', KEYS[1]) ~= tonumber(ARGV[3]) then return 0 end

local function name_in(raw)
  local task = task_of(raw)
  if task then return task end
  local ok, job = pcall(cjson.decode, raw)
  return ok and type(job) == 'table' and job.task_name
end

local taken = {}
for key = 5, #KEYS do
  if fits(KEYS[key], 'hash') then
    for _, raw in ipairs(redis.call('HVALS', KEYS[key])) do
      local task = name_in(raw)
      if task and limits[task] then taken[task] = (taken[task] or 0) + 1 end
    end
  end
end
heal(KEYS[4], 'string')
local slots = slots_of(KEYS[3])
redis.call('HDEL', KEYS[3], '') -- allowed when memory is full, and so is then the rest
if not redis.call('SET', KEYS[4], '1', 'PX', ARGV[2], 'NX') then return 0 end
local freed = false
for task in pairs(limits) do
  local truth = taken[task] or 0
  local believed = tonumber(slots[task])
  if believed ~= truth then
    redis.call('HSET', KEYS[3], task, truth)
    freed = freed or not believed or believed > truth
  end
end
if freed then news(ARGV[1]) end
return 1
