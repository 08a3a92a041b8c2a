-- One request of one caller: is it within the limit?
-- KEYS 1 where the caller's TAT (theoretical arrival time, microseconds) is kept
-- ARGV 1 microseconds that one request uses up  2 requests that may come at once
-- Returns {allowed 0|1, remaining, retry_after, reset}, the last two in microseconds.
-- The same arithmetic as core/ratelimit.py. The key expires when the allowance is whole again, so idle callers cost
-- nothing. Redis' own clock is right here: the instants are compared only with each other.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local window = interval * burst
local before = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local after = before + interval
if after - now > window then
  return {0, 0, after - now - window, before - now}
end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
return {1, math.floor((window - (after - now)) / interval), 0, after - now}
