-- May a request go to an endpoint whose breaker is open? When its rest is over one may, to see how it fares.
-- KEYS 1 the endpoint's hash  2 the open breakers      ARGV 1 now  2 the endpoint's name in 2  3 the end of the probe
-- Returns 'closed', 'open', or 'probe': whoever asks is the one. Nobody else is until it has told, or its time is over.
local score = redis.call('ZSCORE', KEYS[2], ARGV[2])
if not score or redis.call('HEXISTS', KEYS[1], 'rest') == 0 then
  redis.call('ZREM', KEYS[2], ARGV[2])
  return 'closed'
end
local now = tonumber(ARGV[1])
if tonumber(score) > now or tonumber(redis.call('HGET', KEYS[1], 'probe') or '0') > now then
  return 'open'
end
redis.call('HSET', KEYS[1], 'probe', ARGV[3])
return 'probe'
