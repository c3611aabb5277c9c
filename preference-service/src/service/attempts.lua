-- Counts one attempt.
--
-- KEYS[1]  attempts in the window; expires with it      ARGV[1]  the length of a window, ms
--
-- Returns: the attempts in the window with this one, ms until it ends.
local count = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  left = tonumber(ARGV[1])
  redis.call('PEXPIRE', KEYS[1], left)
end
return { count, left }
