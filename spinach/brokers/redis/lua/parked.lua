-- Parked jobs: a concurrency limit holds them back, and they are kept out of the way of others. Put after lib.lua.
-- A member is the SHA-1 of the task's name, a colon, the job's place in the order, a colon, the job's text. All
-- scores are 0, so that Redis orders the members by bytes: by task, then by place.

local TEXT_STARTS_AT = 59 -- after a digest of 40 characters, a place of 16, and two colons
local DIGEST = 40

local function parked_text(member)
  return string.sub(member, TEXT_STARTS_AT)
end

local function parked_place(member)
  return string.sub(member, DIGEST + 2, DIGEST + 17)
end

-- Returns at most `count` members between two bounds: by task, and of each task the oldest first.
local function parked_from(parked, from, to, count)
  return redis.call('ZRANGEBYLEX', parked, from, to, 'LIMIT', 0, count)
end

-- Bounds that exclude the members of the task of this one.
local function after_task(member)
  return '[' .. string.sub(member, 1, DIGEST) .. ';' -- the character after the colon
end

local function before_next(member)
  return '(' .. string.sub(member, 1, DIGEST) .. ';'
end

-- Writes: parks jobs, given as texts and tasks, behind those of their tasks that are parked.
local function park(parked, texts, tasks)
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2]
  local digests, places, members = {}, {}, {}
  for at, text in ipairs(texts) do
    local task = tasks[at]
    local digest = digests[task]
    if not digest then
      digest = redis.sha1hex(task)
      digests[task] = digest
      local last = redis.call('ZREVRANGEBYLEX', parked, '(' .. digest .. ';', '[' .. digest .. ':', 'LIMIT', 0, 1)[1]
      places[task] = math.max(now, last and tonumber(parked_place(last)) or 0)
    end
    places[task] = places[task] + 1
    members[#members + 1] = 0
    -- Not `%s`: it ends a text at a zero byte.
    members[#members + 1] = digest .. ':' .. string.format('%016.0f', places[task]) .. ':' .. text
  end
  call_in_chunks('ZADD', parked, members, 1, #members)
end

-- Writes: notes how many jobs of a queue are parked.
local function note_parked(parked, parked_counts, queue_name)
  local count = redis.call('ZCARD', parked)
  if count == 0 then
    redis.pcall('HDEL', parked_counts, queue_name)
  else
    drop_foreign(parked_counts, 'hash')
    redis.call('HSET', parked_counts, queue_name, count)
  end
end
