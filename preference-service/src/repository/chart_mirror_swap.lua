-- Puts charts that were built aside in the place of those that are there, if nobody else did
-- meanwhile. KEYS: the state, then pairs of chart and what was built for it. ARGV: the cursor and hour
-- that must stand ('' where none does), the cursor and hour that then stand.
local state = redis.call('HMGET', KEYS[1], 'cursor', 'hour')
local stands = (state[1] or '') == ARGV[1] and (state[2] or '') == ARGV[2]
for i = 2, #KEYS, 2 do
    if not stands then
        redis.call('DEL', KEYS[i + 1])
    elseif redis.call('EXISTS', KEYS[i + 1]) == 1 then
        redis.call('RENAME', KEYS[i + 1], KEYS[i])
        redis.call('PERSIST', KEYS[i])
    else
        redis.call('DEL', KEYS[i])
    end
end
if not stands then
    return 0
end
redis.call('HSET', KEYS[1], 'cursor', ARGV[3], 'hour', ARGV[4])
return 1
