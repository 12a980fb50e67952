-- response: meters one answer as it streams by, and takes out of it what the client did not ask for.

local find, lower, match, next, tonumber = string.find, string.lower, string.match, next, tonumber

local response = {}

-- The commonest content type needs no reading.
local JSON = "application/json"

-- A content type without parameters, in lower case.
local function kind_of(headers)
  local value = headers:get("content-type")
  if value == JSON then
    return value
  end
  return value and match(lower(value), "^[^%s;,]*") or ""
end

-- What reads this answer: a meter, and for plain ones what can tell its events.
local function reader(route, headers, known)
  local self = {
    meter = meter.new(route, known),
    sink = nil, -- is told what the answer says
    undecided = false, -- nobody knows yet what the answer is
    events = false, -- its type says that it is a stream of events
    hold = false, -- what the client did not ask for is taken out
    messages = nil, -- what reads it: Bedrock's messages, a stream of lines, JSON
    stream = nil,
    document = nil,
    length = tonumber(headers:get("content-length") or ""),
    settle = nil, -- how the filter charges it itself, and what waits until it has
    tail = nil,
  }
  settle.open(route.settle, self, headers)
  if not header.plain(headers) then
    return self
  end
  local kind = kind_of(headers)
  self.sink = events.new(self.meter)
  if kind == "application/vnd.amazon.eventstream" then
    self.messages = eventstream.new()
    self.meter.streamed = true
    return self
  end
  self.undecided = true
  self.events = kind == "text/event-stream"
  self.meter.streamed = self.events
  self.hold = self.events and known.forced_usage == true
  if self.hold then
    -- The stream gets shorter by what is taken out.
    headers:remove("content-length")
  end
  return self
end

-- The shape of an answer, whatever its type says, by its first byte: JSON, or lines that may be events.
-- What is blank before it tells nothing; in an event stream only an empty line is blank.
local function decide(self, body)
  if find(body, "^[ \t\r\n\239\187\191]*[{%[]") then
    self.document = document.new(self.sink)
    self.meter.streamed = false
  elseif find(body, self.events and "[^\r\n]" or "[^ \t\r\n\239\187\191]") then
    self.stream = sse.new(self.hold)
  else
    return
  end
  self.undecided = false
end

-- What the proxy itself answered: refused, unavailable, unidentified or forbidden; nil when an upstream did.
local function own(route, headers, status, seen, known)
  if limits.refused(headers, status, seen) then
    return "refused"
  end
  local asked = next(known) ~= nil
  -- Nobody asks the service where there are no limits, or where this filter has.
  local away = asked and not known.told_of and errors.away(headers, status, seen)
  return away and #route.limits > 0 and away or errors.denied(headers, status, asked)
end

-- At the headers. Gives what to do with the rest: nothing, `refusal`, or a reader with a `meter`.
function response.open(handle)
  local known, route = meter.get(handle), context.of(handle)
  if known.usage_source == nil then
    -- An answer from before the filter saw the request.
    meter.default(handle)
  end
  local headers = handle:headers()
  local status = tonumber(headers:get(":status") or "") or 0
  local seen = limits.take(headers)
  local kind = own(route, headers, status, seen, known)
  if kind then
    return { refusal = { kind = kind, status = status, seen = seen } }
  end
  local limit
  if status ~= 429 then
    if known.told_of then
      seen = { remaining = known.told_left, reset = known.told_reset }
      limit = route.limits[known.told_of]
    elseif seen then
      limit = limits.find(route.limits, seen)
    end
  end
  if limit then
    limits.admit(headers, limit, seen)
  end
  if status < 200 or status > 299 or known.unmetered then
    return {}
  end
  local self = reader(route, headers, known)
  self.meter:write(handle)
  return self
end

-- Writes what the proxy answers itself, unless the body says that an upstream wrote it.
function response.refuse(handle, reply, body)
  local known, headers, size = meter.get(handle), handle:headers(), body:length()
  if reply.kind == "unidentified" or reply.kind == "forbidden" then
    body:setBytes(errors.deny(headers, reply.kind, size > 0 and body:getBytes(0, size) or ""))
  elseif size > 0 then
    return
  elseif reply.kind == "unavailable" then
    body:setBytes(errors.postpone(headers, known.api, reply.status))
  else
    local limit = limits.find(context.of(handle).limits, reply.seen)
    body:setBytes(limits.refuse(headers, limit, reply.seen, known.model or "unknown", known.api))
  end
end

-- One piece of the body. Gives the bytes to send instead, or nil.
function response.push(self, handle, body)
  local out
  if self.undecided then
    decide(self, body)
  end
  self.meter.bytes = self.meter.bytes + #body
  if self.stream then
    out = sse.push(self.stream, body, self.sink)
  elseif self.document then
    document.push(self.document, body)
  elseif self.messages and not eventstream.push(self.messages, body, self.sink) then
    self.messages = nil
    self.meter.streamed = false
  end
  self.meter:write(handle)
  return out ~= body and out or nil
end

-- After the last piece. Gives bytes that were held, or nil.
function response.close(self, handle)
  local out = self.stream and sse.finish(self.stream, self.sink)
  self.meter:finish(handle)
  return out ~= "" and out or nil
end

return response
