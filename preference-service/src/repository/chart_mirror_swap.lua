-- Replaces charts by staged ones, unless their state has changed. KEYS: the state, then pairs of chart and staged chart.
-- ARGV: the expected cursor and hour ('' for none), the new cursor and hour.
local state = redis.call('HMGET', KEYS[1], 'cursor', 'hour')
local is_expected = (state[1] or '') == ARGV[1] and (state[2] or '') == ARGV[2]
for i = 2, #KEYS, 2 do
    if not is_expected then
        redis.call('DEL', KEYS[i + 1])
    elseif redis.call('EXISTS', KEYS[i + 1]) == 1 then
        redis.call('RENAME', KEYS[i + 1], KEYS[i])
        redis.call('PERSIST', KEYS[i])
    else
        redis.call('DEL', KEYS[i])
    end
end
if not is_expected then
    return 0
end
redis.call('HSET', KEYS[1], 'cursor', ARGV[3], 'hour', ARGV[4])
return 1
