-- Move what is due from the plan to the entries in transit, where it waits for the claim in Postgres that counts.
-- KEYS 1 due  2 transit  3 epoch      ARGV 1 horizon  2 transit's end  3 limit  4 now      (instants in microseconds)
-- Returns {moved members, score of the next one or nil}; {false} when the epoch is missing: the plan was lost.
-- Entries whose transit ended (their dispatcher died between here and Postgres) are due again first, at most 200 a call.
if redis.call('EXISTS', KEYS[3]) == 0 then
  return {false}
end
local stale = redis.call('ZRANGE', KEYS[2], '-inf', ARGV[4], 'BYSCORE', 'LIMIT', 0, 200)
for _, entry in ipairs(stale) do
  redis.call('ZADD', KEYS[1], 'NX', ARGV[4], entry)
  redis.call('ZREM', KEYS[2], entry)
end
local due = redis.call('ZRANGE', KEYS[1], '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[3])
if #due > 0 then
  local moved = {}
  for i, entry in ipairs(due) do
    moved[2 * i - 1] = ARGV[2]
    moved[2 * i] = entry
  end
  redis.call('ZADD', KEYS[2], unpack(moved))
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, #due - 1)
end
local next = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return {due, next[2]}
