-- What a script reads of a job's text without decoding it: a payload passes through byte for byte.

-- The exact head that our encoder writes, up to the status digit. Anchored at byte 1, before anything a user wrote.
-- Ids are in small letters: they are fields of hashes, byte for byte.
local HEAD = '^{"at": %-?%d+, "at_us": %d+, "enqueued_at": %d+%.%d+, "id": "([%da-f%-]+)", "max_retries": (%d+), '
  .. '"queue": "[^"\\]*", "retries": (%d+), "status": ()%d, '
-- The head that the published package writes.
local OLD_HEAD = '^{"at": %-?%d+, "at_us": %d+, "id": "([%da-f%-]+)", "max_retries": (%d+), '
  .. '"queue": "[^"\\]*", "retries": (%d+), "status": ()%d, '
-- The task's name comes last. No payload looks like this: in a JSON text a quote has a backslash before it.
local TAIL = '"task_name": "([^"\\]*)"}$'
local TAIL_BYTES = 600

-- Returns id, max_retries, retries and position of the status digit; nil when the text is spelled otherwise.
local function head_of(raw)
  local id, max_retries, retries, position = string.match(raw, HEAD)
  if not id then id, max_retries, retries, position = string.match(raw, OLD_HEAD) end
  return id, max_retries, retries, position
end

local function task_of(raw)
  return string.match(string.sub(raw, -TAIL_BYTES), TAIL)
end

-- Returns the task's name, also of a text that is spelled otherwise; nil when there is none.
local function task_in(raw)
  local task = task_of(raw)
  if task then return task end
  local ok, job = pcall(cjson.decode, raw)
  return ok and type(job) == 'table' and type(job.task_name) == 'string' and job.task_name or nil
end

local function with_status(raw, status)
  local id, _, _, position = head_of(raw)
  if not id then return raw end
  return string.sub(raw, 1, position - 1) .. status .. string.sub(raw, position + 1)
end
