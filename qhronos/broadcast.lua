-- Numbers what listeners are told and sends it, in one step, so that whoever hears it hears it in the order of the numbers.
-- KEYS[1]  hash: the epoch of the numbers, and the last one given
-- KEYS[2]  is there as long as somebody listens
-- ARGV     an epoch for when there is none · how many frames were left out before · how many there are · channel · the frames,
--          a JSON array
-- Returns whether somebody listens, the epoch, and the last number.
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then
    epoch = ARGV[1]
    redis.call('HSET', KEYS[1], 'epoch', epoch)
end
local last = redis.call('HINCRBY', KEYS[1], 'last', ARGV[2] + ARGV[3])
if ARGV[3] ~= '0' then
    redis.call('PUBLISH', ARGV[4], '{"type":"told","epoch":"' .. epoch .. '","last":' .. last .. ',"frames":' .. ARGV[5] .. '}')
end
return {redis.call('EXISTS', KEYS[2]), epoch, last}
