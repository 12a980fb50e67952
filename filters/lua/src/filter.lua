-- filter: the two entry points. All that can fail runs under pcall, and what a request costs when it does is
-- set first: a fault never breaks traffic and never frees it. Yields stay outside of pcall, where no Lua
-- but LuaJIT allows them.

local gsub, lower, sub = string.gsub, string.lower, string.sub
local pairs, pcall, tonumber, tostring, type = pairs, pcall, tonumber, tostring, type

-- Methods that cost no tokens and whose body, if any, is not waited for: an upgraded one never ends.
local UNMETERED = { GET = true, HEAD = true, OPTIONS = true, CONNECT = true }

-- Logged with Lua's own words, which say where, and counted. Never with a body.
local function fault(handle, message)
  pcall(handle.logErr, handle, "llmroute: " .. sub(tostring(message), 1, 200))
  pcall(function()
    meter.set(handle, "filter_error", (tonumber(meter.get(handle).filter_error) or 0) + 1)
  end)
end

local function guard(handle, run, ...)
  local ok, result = pcall(run, ...)
  if not ok then
    fault(handle, result)
    return nil
  end
  return result
end

local function bytes(buffer)
  local size = buffer:length()
  return size > 0 and buffer:getBytes(0, size) or ""
end

local function set_bytes(buffer, content)
  buffer:setBytes(content)
end

local function set_header(headers, name, value)
  headers:remove(name)
  headers:add(name, value)
end

-- One value for a header that limits select on: the client's first usable one, or the default.
local function settle(headers, name, default)
  local count = headers:getNumValues(name)
  local value
  for i = 0, count - 1 do
    value = value or text.header_value(headers:getAtIndex(name, i) or "")
  end
  value = value or default
  if count ~= 1 or headers:getAtIndex(name, 0) ~= value then
    set_header(headers, name, value)
  end
end

local function settle_all(handle)
  local headers = handle:headers()
  for name, default in pairs(context.defaults(handle)) do
    if type(default) == "string" then
      settle(headers, name, default)
    end
  end
  -- Answers have to come plain to be read.
  headers:remove("accept-encoding")
end

-- Can the body be read?
local function plain(headers)
  local coding = gsub(lower(headers:get("content-encoding") or ""), "[ \t]+", "")
  return coding == "" or coding == "identity"
end

-- The size of a body that is too long to be held; else nothing.
local function oversized(handle)
  local size = tonumber(handle:headers():get("content-length") or "")
  return size and size > context.body_limit(handle) and size
end

-- `size` is that of a body that was not held.
local function read(handle, buffer, size)
  local headers = handle:headers()
  local ends, in_path = path.read(headers:get(":path") or "")
  local model, estimate, rewritten, forced
  if request.counts(ends) then
    meter.set(handle, "unestimated", true)
  end
  if size or not plain(headers) then
    model, estimate = request.unread(size or buffer and buffer:length() or 0, in_path)
  else
    local force = request.streams(ends) and context.forces(handle)
    local kind = headers:get("content-type") or ""
    local body = buffer and bytes(buffer) or ""
    model, estimate, rewritten, forced =
      request.read(body, ends, in_path, kind, force, context.max_tokens(handle))
  end
  set_header(headers, context.model_header(handle), model)
  meter.set(handle, "model", model)
  meter.set(handle, "prompt_estimate", estimate)
  if rewritten then
    buffer:setBytes(rewritten)
    if forced then
      meter.set(handle, "forced_usage", true)
    end
  end
end

function envoy_on_request(handle)
  guard(handle, meter.default, handle)
  local header = guard(handle, context.model_header, handle) or "x-ai-gateway-llm-model-name"
  guard(handle, set_header, handle:headers(), header, "unknown")
  guard(handle, settle_all, handle)
  if UNMETERED[handle:headers():get(":method") or ""] then
    guard(handle, meter.set, handle, "unmetered", true)
    return
  end
  local size = guard(handle, oversized, handle)
  local buffer = not size and handle:body() or nil
  guard(handle, read, handle, buffer, size)
end

-- Streams the answer through its reader. After a fault the rest passes as it comes.
local function stream(handle, reader)
  local last, sent, broken
  -- No `for ... in`: stock Lua 5.1 cannot yield inside of it.
  local next_chunk = handle:bodyChunks()
  local chunk = next_chunk()
  while chunk do
    last, sent = chunk, ""
    if not broken then
      local body = guard(handle, bytes, chunk) or ""
      local ok, out = pcall(response.push, reader, handle, body)
      if not ok then
        fault(handle, out)
        broken = true
        out = reader.stream and reader.stream.hold and sse.held(reader.stream) .. body or nil
      end
      sent = out or body
      if out then
        guard(handle, set_bytes, chunk, out)
      end
    end
    chunk = next_chunk()
  end
  local rest = not broken and guard(handle, response.close, reader, handle)
  if rest and last then
    -- The last piece is alive when it carried the end of the stream. After trailers it is not, and half an
    -- event, which a client has no use for, is lost.
    pcall(set_bytes, last, sent .. rest)
  end
end

function envoy_on_response(handle)
  local reader = guard(handle, response.open, handle)
  if reader and reader.refusal then
    local body = handle:body(true)
    guard(handle, response.refuse, handle, reader.refusal, body)
  elseif reader and reader.meter then
    stream(handle, reader)
  end
end
