-- Numbers what listeners are told and sends it, in one step, so that whoever hears it hears it in the order of the numbers.
-- KEYS[1]  hash: the epoch of the numbers, and the last one given
-- ARGV     an epoch for when there is none · how many frames were left out before · how many there are · channel · the frames,
--          a JSON array
-- Returns how many heard it.
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then
    epoch = ARGV[1]
    redis.call('HSET', KEYS[1], 'epoch', epoch)
end
local last = redis.call('HINCRBY', KEYS[1], 'last', ARGV[2] + ARGV[3])
return redis.call('PUBLISH', ARGV[4], '{"type":"told","epoch":"' .. epoch .. '","last":' .. last .. ',"frames":' .. ARGV[5] .. '}')
