-- Reports limits without counting.
--
-- KEYS  a window, as lease.lua keeps it
--
-- Returns for each key: tokens taken, ms until the window ends; 0, 0 without a window.
local result = {}
for _, key in ipairs(KEYS) do
  local left_ms = redis.call('PTTL', key)
  if left_ms > 0 then
    table.insert(result, tonumber(string.match(redis.call('GET', key), '^%d+')))
    table.insert(result, left_ms)
  else
    table.insert(result, 0)
    table.insert(result, 0)
  end
end
return result
