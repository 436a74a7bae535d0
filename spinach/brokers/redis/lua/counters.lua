-- Counters and histograms; put after lib.lua.

-- Writes one statistic. Never fails: a job is worth more than its count.
local function add_to(key, field, increment, max_fields)
  local value = redis.pcall('HINCRBY', key, field, increment)
  if is_error(value) then
    if string.find(value.err, 'WRONGTYPE') then
      redis.pcall('DEL', key)
      redis.pcall('HINCRBY', key, field, increment)
    elseif string.find(value.err, 'not an integer') or string.find(value.err, 'overflow') then
      redis.pcall('HSET', key, field, increment)
    end
  elseif value == tonumber(increment) and max_fields and redis.call('HLEN', key) > max_fields then
    redis.pcall('HDEL', key, field)
    redis.pcall('HINCRBY', key, '["other", "other", "folded"]', increment)
  end
  return value
end

-- Writes: adds to a counter's total and to its count of the minute.
local function count(counters, counters_of_minute, field, increment)
  add_to(counters, field, increment, MAX_COUNTER_FIELDS)
  if add_to(counters_of_minute, field, increment, MAX_COUNTER_FIELDS) == tonumber(increment) then
    redis.pcall('EXPIRE', counters_of_minute, MINUTE_TTL_SECONDS)
  end
end

-- Writes: counts pairs of field and increment, from ARGV[first] on.
local function count_all(counters, counters_of_minute, first, pairs_)
  for i = first, first + 2 * pairs_ - 1, 2 do count(counters, counters_of_minute, ARGV[i], ARGV[i + 1]) end
end
