-- response: meters one answer as it streams by, and takes out of it what the client did not ask for.

local lower, match, tonumber = string.lower, string.match, tonumber

local response = {}

local function plain(headers)
  local encoding = headers:get("content-encoding")
  return not encoding or lower(encoding) == "identity"
end

local function is_events(headers)
  local kind = headers:get("content-type")
  return kind ~= nil and match(lower(kind), "^[^%s;,]*") == "text/event-stream"
end

-- What reads this answer: a meter, and for plain ones a document or an event stream.
local function reader(headers, known)
  local self = { meter = meter.new(tonumber(known.prompt_estimate) or 0) }
  if not plain(headers) then
    return self
  elseif is_events(headers) then
    self.stream = sse.new(known.forced_usage == true)
    self.sink = chunks.new(self.meter)
    if self.stream.hold then
      -- The stream gets shorter by what is taken out.
      headers:remove("content-length")
    end
  else
    self.document = document.new()
  end
  return self
end

-- At the headers. Gives what to do with the rest: nothing, `refusal`, or a reader with a `meter`.
function response.open(handle)
  local known = meter.get(handle)
  if known.usage_source == nil then
    -- An answer from before the filter saw the request.
    meter.default(handle)
  end
  local headers = handle:headers()
  local status = tonumber(headers:get(":status") or "") or 0
  local seen = limits.take(headers)
  if limits.refused(headers, status, seen) then
    return { refusal = seen }
  end
  local limit = seen and status ~= 429 and limits.find(context.limits(handle), seen)
  if limit then
    limits.admit(headers, limit, seen)
  end
  if status < 200 or status > 299 or known.unmetered then
    return {}
  end
  local self = reader(headers, known)
  self.meter:write(handle)
  return self
end

-- Writes the refusal, unless the body says that an upstream wrote one.
function response.refuse(handle, seen, body)
  if body:length() > 0 then
    return
  end
  local model = meter.get(handle).model or "unknown"
  local limit = limits.find(context.limits(handle), seen)
  body:setBytes(limits.refuse(handle:headers(), limit, seen, model))
end

-- One piece of the body. Gives the bytes to send instead, or nil.
function response.push(self, handle, body)
  local out
  if self.stream then
    out = sse.push(self.stream, body, self.sink)
  else
    self.meter.bytes = self.meter.bytes + #body
    local found = self.document and document.push(self.document, body)
    local reported = found and usage.read(found, 1)
    if reported then
      self.meter:report(reported)
    end
  end
  self.meter:write(handle)
  return out ~= body and out or nil
end

-- After the last piece. Gives bytes that were held, or nil.
function response.close(self, handle)
  local out = self.stream and sse.finish(self.stream, self.sink)
  self.meter:write(handle)
  return out ~= "" and out or nil
end

return response
