-- Grants a gateway a lease: a few tokens of one client's window, so that it need not call at each request.
-- The size of a lease shrinks with what is left: all gateways together never get more than the limit.
--
-- KEYS[1]  tokens taken in the client's window; expires with the window
-- ARGV[1]  the limit                     ARGV[2]  the length of a window, ms
-- ARGV[3]  tokens that this gateway has taken in its window
-- ARGV[4]  those of them that it took while Redis was unavailable, which are not counted here yet
-- ARGV[5]  time until its window ends, ms; 0: it has none
--
-- Returns: tokens granted, tokens left after that, ms until the window ends.
local limit = tonumber(ARGV[1])
local left_ms = redis.call('PTTL', KEYS[1])
local used
if left_ms > 0 then
  used = tonumber(redis.call('GET', KEYS[1])) + tonumber(ARGV[4])
else
  -- A new window; or the gateway's, if Redis has lost its data.
  used = tonumber(ARGV[3])
  left_ms = tonumber(ARGV[5])
  if left_ms <= 0 then
    used = 0
    left_ms = tonumber(ARGV[2])
  end
end
local left = math.max(limit - used, 0)
local granted = math.min(math.max(math.floor(left / 10), 1), left)
redis.call('SET', KEYS[1], string.format('%.0f', used + granted), 'PX', left_ms)
return { granted, left - granted, left_ms }
