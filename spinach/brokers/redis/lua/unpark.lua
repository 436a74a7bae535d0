-- Put parked jobs back at the head of their queue, where workers of the published package find them.
-- KEYS: parked, parked_counts, queue
-- ARGV: queue_name, notifications, most (number)
-- Returns: how many jobs of the queue are still parked
-- Retry: safe by nature
-- include: lib parked

drop_foreign(parked, 'zset')
if not fits(queue, 'list') then return 0 end
local members = redis.call('ZREVRANGE', parked, 0, most - 1)
local texts = {}
for at, member in ipairs(members) do texts[at] = parked_text(member) end
call_in_chunks('ZREM', parked, members, 1, #members)
call_in_chunks('LPUSH', queue, texts, 1, #texts) -- the newest first, so the oldest ends at the head
note_parked(parked, parked_counts, queue_name)
local rest = redis.call('ZCARD', parked)
if rest == 0 then notify(notifications) end
return rest
