-- Some requests of one caller, sent at once: how many are within the limit?
-- KEYS 1 where the caller's TAT (theoretical arrival time, microseconds) is kept
-- ARGV 1 microseconds that one request uses up  2 requests that may come at once  3 how many came
-- Returns {allowed, remaining, retry_after, reset}, the last two in microseconds.
-- The same arithmetic as core/ratelimit.py. The key expires when the allowance is whole again, so idle callers cost
-- nothing. Redis' own clock is right here: the instants are compared only with each other.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst, count = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local before = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local room = math.max(math.floor((now + interval * burst - before) / interval), 0)
local allowed = math.min(count, room)
local after = before + allowed * interval
if allowed > 0 then
  redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
end
local retry_after = 0
if allowed < count then
  retry_after = after + interval - now - interval * burst
end
return {allowed, room - allowed, retry_after, after - now}
