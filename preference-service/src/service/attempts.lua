-- Counts attempts in a fixed window.
--
-- KEYS[1]  the counter; expires with its window      ARGV[1]  the length of a window, ms
--                                                    ARGV[2]  the number of attempts, 0 to read
--
-- Returns: the attempts in the window including these, ms until it ends.
local count = redis.call('INCRBY', KEYS[1], ARGV[2])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  left = tonumber(ARGV[1])
  redis.call('PEXPIRE', KEYS[1], left)
end
return { count, left }
