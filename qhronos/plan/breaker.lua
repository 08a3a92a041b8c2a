-- What came of requests to one endpoint, and what that makes of its breaker.
-- KEYS 1 the endpoint's hash  2 the open breakers: sorted set, scored with the instant until which they rest
-- ARGV 1 now  2 the endpoint's name in 2  3 requests that were answered  4 that failed  5 '1' if it was the probe
--      6 when that was: it may be told late
-- Returns 'opened', 'reopened', 'closed' or ''.   (instants in microseconds, told by the caller)
--
-- Closed, the results of the last five minutes are counted in slots of half a minute: fields '<slot>a' and '<slot>f'. At
-- least ten of them and 70 % failures open it, for 30 s. Open, only the probe counts: it closes the breaker or doubles its
-- rest, up to a quarter of an hour. A probe of which nothing is known makes room for another.
local SECOND = 1000000
local SLOT, SLOTS, LEAST, FIRST, LONGEST = 30 * SECOND, 10, 10, 30 * SECOND, 900 * SECOND
local now, answered, failed = tonumber(ARGV[1]), tonumber(ARGV[3]), tonumber(ARGV[4])

local function open(rest)
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'rest', string.format('%.0f', rest))
  redis.call('EXPIRE', KEYS[1], 7200)
  redis.call('ZADD', KEYS[2], string.format('%.0f', now + rest), ARGV[2])
end

local rest = tonumber(redis.call('HGET', KEYS[1], 'rest') or '0')
if rest > 0 then
  if ARGV[5] ~= '1' then
    return ''
  elseif failed > 0 then
    open(math.min(2 * rest, LONGEST))
    return 'reopened'
  elseif answered > 0 then
    redis.call('DEL', KEYS[1])
    redis.call('ZREM', KEYS[2], ARGV[2])
    return 'closed'
  end
  redis.call('HDEL', KEYS[1], 'probe')
  return ''
end

local slot = math.floor(ARGV[6] / SLOT)
redis.call('HINCRBY', KEYS[1], slot .. 'a', answered)
redis.call('HINCRBY', KEYS[1], slot .. 'f', failed)
redis.call('EXPIRE', KEYS[1], SLOT * SLOTS / SECOND)
local total, failures = 0, 0
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  if tonumber(string.sub(fields[i], 1, -2)) <= math.floor(now / SLOT) - SLOTS then
    redis.call('HDEL', KEYS[1], fields[i])
  else
    total = total + fields[i + 1]
    failures = failures + (string.sub(fields[i], -1) == 'f' and fields[i + 1] or 0)
  end
end
if failed > 0 and total >= LEAST and failures * 10 >= total * 7 then
  open(FIRST)
  return 'opened'
end
return ''
