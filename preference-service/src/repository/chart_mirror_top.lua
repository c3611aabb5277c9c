-- The first places of a chart, and up to which hour it counts; nothing where there are no charts.
-- KEYS: the state, the chart. ARGV: how many places.
local hour = redis.call('HGET', KEYS[1], 'hour')
if not hour then
    return false
end
return {hour, redis.call('ZRANGE', KEYS[2], 0, tonumber(ARGV[1]) - 1, 'REV', 'WITHSCORES')}
