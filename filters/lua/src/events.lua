-- events: what the events of a stream mean, whatever framed them (SSE, JSON lines, an array, Bedrock's
-- messages), by their shape: deltas, usage, and what a client that did not ask for usage must not see.

local byte, find, sub = string.byte, string.find, string.sub
local members, solid = json.members, json.solid
local escapes_ok, fields = text.escapes_ok, usage.fields

-- The members that tell one API's events from another's. An object with none of them, or only one of the
-- first two, which are anybody's, is of no API we know.
local WANTED = json.names(
  "message",
  "response",
  "choices",
  "candidates",
  "type",
  "delta",
  "done",
  "usage",
  "usageMetadata",
  "meta",
  "error",
  "role",
  "start",
  "stopReason",
  "contentBlockIndex"
)
local USAGE = json.names("usage")
-- Room that is used again and again; no yield comes between.
local FOUND, INNER = json.spans(), json.spans()
-- Events after which clients do not read on.
local LAST = {
  ['"message_stop"'] = true,
  ['"message-end"'] = true,
  ['"response.completed"'] = true,
  ['"response.incomplete"'] = true,
  ['"response.failed"'] = true,
}

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

-- Is the list that begins at `at` one, and is it empty?
local function list(data, at)
  if not at or byte(data, at) ~= 91 then
    return false, false
  end
  return true, byte(data, solid(data, at + 1)) == 93
end

-- Does `delta` hold text? Anthropic's and Cohere's first and last events have one that does not.
local function has_text(data, found)
  local at, kind = found.from.delta, found.from.type
  local c = at and byte(data, at)
  if c ~= 34 and c ~= 123 then
    return false
  elseif not kind or byte(data, kind) ~= 34 then
    return true
  end
  local name = sub(data, kind + 1, found.to.type - 2)
  return find(name, "delta$") ~= nil and name ~= "message_delta"
end

-- A piece of an answer, one token when nothing better is known.
local function is_delta(data, found)
  local from = found.from
  local is_list, empty = list(data, from.choices or from.candidates)
  if is_list then
    return not empty
  end
  return has_text(data, found) or from.done ~= nil and byte(data, from.done) == 102
end

-- The usage of an object inside the event, `name`'s.
local function nested(data, name)
  local at = FOUND.from[name]
  if not at or byte(data, at) ~= 123 then
    return nil
  end
  local from = members(data, at, USAGE, INNER) and INNER.from.usage
  return from and fields(data, from)
end

-- Tells the meter what the event reports.
local function report(self, data, delta)
  local from, meter = FOUND.from, self.meter
  local at = from.usage or from.usageMetadata
  local found = at and fields(data, at)
  if not found and from.type and from.message then
    -- Anthropic's first event; its last overrides it.
    local base = nested(data, "message")
    if base then
      meter:begin(base)
      return
    end
  end
  found = found
    or nested(data, "response")
    or (from.delta and not delta and nested(data, "delta"))
    or (from.meta and fields(data, from.meta, true))
    or (from.done and byte(data, from.done) == 116 and fields(data, solid(data, 1)))
  if found then
    meter:report(found)
  end
end

-- Is it the last event that a client waits for?
local function is_last(data, found)
  local kind, done = found.from.type, found.from.done
  return kind and LAST[sub(data, kind, found.to.type - 1)] or done and byte(data, done) == 116 or false
end

-- What the client must not see of the event: nil for nothing, false for all of it, or from where to where.
local function unasked(data, found)
  local at = found.from.usage
  if at and byte(data, at) == 110 then
    return member_span(data, found)
  elseif at and byte(data, at) == 123 then
    local is_list, empty = list(data, found.from.choices)
    if is_list and empty then
      return false
    end
  end
  return nil
end

-- A delta like this one but for its text means the same.
local function learn(self, data, from, to)
  local found = FOUND
  local name = found.from.choices and "choices" or found.from.candidates and "candidates" or "delta"
  local size = found.from[name] and echo.learn(self.echo, data, found.from[name], found.to[name])
  if size then
    self.size, self.from, self.to = size, from, to
    self.after = from and from > #self.echo.head
  end
end

-- For `sse`: nil to let the data go on, false to take the event out, or what of it to take out.
local function event(self, data)
  local size = echo.same(self.echo, data)
  if size then
    self.meter:delta()
    local shift = self.after and size - self.size or 0
    return self.from and self.from + shift, self.from and self.to + shift
  end
  local found, heard = FOUND, self.meter.heard
  local start = byte(data, solid(data, 1)) == 123 and json.document(data, WANTED, found)
  if not start then
    self.meter.ended = self.meter.ended or find(data, "^[ \t]*%[DONE%]") ~= nil
    return nil
  elseif found.count == (found.from.message and 1 or 0) + (found.from.response and 1 or 0) then
    self.meter:weigh(#data)
    return nil
  end
  local delta = is_delta(data, found)
  if delta then
    self.meter:delta()
  end
  report(self, data, delta)
  self.meter.ended = self.meter.ended or is_last(data, found)
  local from, to = unasked(data, found)
  if delta and heard == self.meter.heard and from ~= false then
    learn(self, data, from, to)
  end
  return from, to
end

-- A usage object that is the value of `name` and nothing else: what the event of it alone would mean.
local function usage_of(self, name, data)
  local found = escapes_ok(data) and fields(data, 1, name == "meta")
  if found then
    self.meter:report(found)
  end
end

-- Of an event over the cap, the next piece of its data: read in passing, so what it reports is not lost.
local function pass(self, piece)
  if not self.passing then
    self.passing, self.heard = document.new(self, true), self.meter.heard
  end
  document.push(self.passing, piece)
end

-- An event over the cap has ended. Data without usage was one delta, or such events would be free.
local function lost(self)
  if self.passing and self.meter.heard == self.heard then
    self.meter:delta()
  end
  self.passing = nil
end

local events = {}

function events.new(meter)
  return {
    meter = meter,
    echo = echo.new(),
    size = 0, -- of the delta that was learnt: the length of its text
    from = nil, -- what to take out of it
    to = nil,
    after = false, -- that comes after the text
    passing = nil, -- reads an event over the cap
    heard = 0, -- reports before it
    event = event,
    usage = usage_of,
    pass = pass,
    lost = lost,
  }
end

return events
