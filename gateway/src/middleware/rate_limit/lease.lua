-- Grants a gateway leases: a few tokens of each of some windows, so that it need not call at each request.
-- The size of a lease shrinks with what is left: all gateways together never get more than the limit.
--
-- KEYS  a window: tokens taken and the number of the window; expires with the window
-- ARGV  six for each key:
--   1  the limit                     2  the length of a window, ms
--   3  tokens that this gateway has taken in its window
--   4  those of them that it took while Redis was unavailable, which are not counted here yet
--   5  time until its window ends, ms; 0: it has none
--   6  the number of its window; 0: it has none from here
--
-- Returns for each key: tokens granted, tokens left after that, ms until the window ends, the number of the window.
local result = {}
for index, key in ipairs(KEYS) do
  local at = (index - 1) * 6
  local limit = tonumber(ARGV[at + 1])
  local left_ms = redis.call('PTTL', key)
  local used, window
  if left_ms > 0 then
    used, window = string.match(redis.call('GET', key), '^(%d+) (%d+)$')
    -- Another number: Redis has lost its data, and with it what this gateway had reported.
    used = tonumber(used) + tonumber(window == ARGV[at + 6] and ARGV[at + 4] or ARGV[at + 3])
  else
    -- A new window; or the gateway's, if Redis has lost its data.
    local time = redis.call('TIME')
    window = string.format('%d%06d', time[1], time[2])
    used = tonumber(ARGV[at + 3])
    left_ms = tonumber(ARGV[at + 5])
    if left_ms <= 0 then
      used = 0
      left_ms = tonumber(ARGV[at + 2])
    end
  end
  local left = math.max(limit - used, 0)
  local granted = math.min(math.max(math.floor(left / 10), 1), left)
  redis.call('SET', key, string.format('%.0f %s', used + granted, window), 'PX', left_ms)
  table.insert(result, granted)
  table.insert(result, left - granted)
  table.insert(result, left_ms)
  table.insert(result, tonumber(window))
end
return result
