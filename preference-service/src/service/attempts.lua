-- Counts one attempt in a fixed window.
--
-- KEYS[1]  the counter; expires with its window      ARGV[1]  the length of a window, ms
--
-- Returns: the attempts in the window including this one, ms until it ends.
local count = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  left = tonumber(ARGV[1])
  redis.call('PEXPIRE', KEYS[1], left)
end
return { count, left }
