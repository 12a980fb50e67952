-- counters: what the rate limit service calls the counter that a limit has for one request.

local counters = {}

-- Entries, pairs of key and value; nil when the limit does not apply or a header is missing, as for the
-- proxy. `said` gives what a header of the request says.
function counters.entries(limit, said)
  for i = 1, #limit.match do
    local one = limit.match[i]
    if said(one.header) ~= one.value then
      return nil
    end
  end
  local out = {}
  for i = 1, #limit.entries do
    local entry = limit.entries[i]
    local value = entry.value or said(entry.header)
    if not value then
      return nil
    end
    out[i] = { entry.key, value }
  end
  return out
end

return counters
