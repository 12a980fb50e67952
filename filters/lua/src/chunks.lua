-- chunks: what the events of an OpenAI stream mean: deltas, usage, and what a client that did not ask for
-- usage must not see. A sink for `sse`.

local byte, find, sub = string.byte, string.find, string.sub
local document, solid = json.document, json.solid

local WANTED = json.names("choices", "usage")

local chunks = {}

-- Where to cut so that the member `usage` is gone, its comma with it.
local function member_span(data, found)
  local from, to = found.key.usage, found.to.usage - 1
  local before = from - 1
  while find(data, "^[ \t\r\n]", before) do
    before = before - 1
  end
  if byte(data, before) == 44 then
    return before, to
  end
  local after = solid(data, to + 1)
  if byte(data, after) == 44 then
    to = solid(data, after + 1) - 1
  end
  return from, to
end

-- A delta is an event that is JSON with at least one choice.
local function event(self, data)
  local found = self.found
  if byte(data, solid(data, 1)) ~= 123 or not document(data, WANTED, found) then
    return nil
  end
  local choices, at = found.from.choices, found.from.usage
  local list = choices and byte(data, choices) == 91
  local empty = list and byte(data, solid(data, choices + 1)) == 93
  if list and not empty then
    self.meter:delta()
  end
  if not at then
    return nil
  end
  local reported = usage.read(data, at)
  if reported then
    self.meter:report(reported)
  end
  if empty and byte(data, at) == 123 then
    return false
  elseif sub(data, at, found.to.usage - 1) == "null" then
    return member_span(data, found)
  end
  return nil
end

-- An event too long to be read is counted as one delta, or a stream of such events would be free.
local function lost(self)
  self.meter:delta()
end

function chunks.new(meter)
  return { meter = meter, found = json.spans(), event = event, lost = lost }
end

return chunks
