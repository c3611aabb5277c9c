-- Sets counts in the charts, unless their state has changed. KEYS: the state, then the charts. ARGV: the expected
-- cursor and hour, the new cursor, then triples of chart (its index in KEYS), count and member.
local state = redis.call('HMGET', KEYS[1], 'cursor', 'hour')
if state[1] ~= ARGV[1] or state[2] ~= ARGV[2] then
    return 0
end
for i = 4, #ARGV, 3 do
    local chart = KEYS[tonumber(ARGV[i])]
    if ARGV[i + 1] == '0' then
        redis.call('ZREM', chart, ARGV[i + 2])
    else
        redis.call('ZADD', chart, ARGV[i + 1], ARGV[i + 2])
    end
end
redis.call('HSET', KEYS[1], 'cursor', ARGV[3])
return 1
