-- filter: the two entry points. All that can fail runs under pcall, and what a request costs when it does is
-- set first: a fault never breaks traffic and never frees it. Yields stay outside of pcall, where no Lua
-- but LuaJIT allows them.

local pairs, pcall, tonumber, type = pairs, pcall, tonumber, type
local fault, guard, ask = faults.note, faults.guard, faults.ask

-- How often to look whether a charge has arrived, at the very most: nearly always it has at once, and a look
-- takes its time.
local MAX_LOOKS = 1000
-- Methods that cost no tokens and whose body, if any, is not waited for: an upgraded one never ends.
local UNMETERED = { GET = true, HEAD = true, OPTIONS = true, CONNECT = true }

local function bytes(buffer)
  local size = buffer:length()
  return size > 0 and buffer:getBytes(0, size) or ""
end

local function set_bytes(buffer, content)
  buffer:setBytes(content)
end

-- What is known before the body, to be noted in `asked`: the API, how the path ends, the model that it names.
local function locate(handle, headers, route, asked)
  local ends, in_path = path.read(headers:get(":path") or "")
  asked.ends, asked.in_path, asked.api = ends, in_path, request.api(ends)
  if asked.api ~= "openai" then
    meter.set(handle, "api", asked.api)
  end
  if route.costs[1] then
    meter.no_costs(handle, route.costs)
  end
end

local function settle_all(headers, defaults)
  for name, default in pairs(defaults) do
    if type(default) == "string" then
      header.settle(headers, name, default)
    end
  end
  -- Answers have to come plain to be read.
  headers:remove("accept-encoding")
end

-- The size of a body that is too long to be held; else nothing.
local function oversized(headers, limit)
  local size = tonumber(headers:get("content-length") or "")
  return size and size > limit and size
end

-- `size` is that of a body that was not held.
local function read(handle, route, asked, buffer, size)
  local headers = handle:headers()
  local ends, in_path = asked.ends, asked.in_path
  local model, estimate, rewritten, forced, longest
  if request.counts(ends) then
    meter.set(handle, "unestimated", true)
  end
  if size or not header.plain(headers) then
    model, estimate = request.unread(size or buffer and buffer:length() or 0, in_path)
  else
    local kind = headers:get("content-type") or ""
    local body = buffer and bytes(buffer) or ""
    model, estimate, rewritten, forced, longest = request.read(body, ends, in_path, kind, route)
  end
  header.set(headers, route.model_header, model)
  meter.asked(handle, model, estimate)
  hold.set(handle, route.holds, estimate, longest or route.max_tokens)
  if rewritten then
    buffer:setBytes(rewritten)
    if forced then
      meter.set(handle, "forced_usage", true)
    end
  end
end

-- Does the request say who asks, where it has to?
local function identified(handle, headers, route)
  for i = 1, #route.metadata do
    guard(handle, identity.tell, handle, headers, route.metadata[i])
  end
  return not route.identity or guard(handle, header.settle, headers, route.identity)
end

-- Why there is no backend for the request; nil when there is one.
local function misplaced(handle, route, metered)
  local name = route.backend_header
  if not name then
    return nil
  end
  local headers = handle:headers()
  local model = metered and headers:get(route.model_header) or nil
  return backends.choose(headers, name, route.backends, model)
end

-- Answers the request. Envoy never comes back from here, and so it has to be outside of pcall.
local function refuse(handle, api, status, kind, message)
  local headers = { [":status"] = status, ["content-type"] = "application/json" }
  handle:respond(headers, errors.body(api, kind, message))
end

-- Admits the request and books its prompt, where the route has the filter do that.
local function prepay(handle, route, api)
  local call = guard(handle, prepaid.prepare, handle, route.prepay)
  if not call then
    return
  end
  local goes = guard(handle, prepaid.judge, call, ask(handle, prepaid.book, call))
  if goes then
    call = guard(handle, prepaid.admit, handle, call, route.costs)
    if call then
      guard(handle, prepaid.note, handle, call, ask(handle, prepaid.book, call))
    end
  elseif goes == false then
    local reply = guard(handle, prepaid.refusal, route.limits, handle, call, api)
    if reply then
      handle:respond(reply.headers, reply.body)
    end
  end
end

function envoy_on_request(handle)
  local route, asked = guard(handle, context.of, handle) or context.none(), {}
  -- A check whose hits nobody has set is passed over.
  guard(handle, hold.set, handle, route.holds, 0, route.max_tokens)
  guard(handle, meter.default, handle)
  local headers = handle:headers()
  guard(handle, header.set, headers, route.model_header, "unknown")
  guard(handle, identity.cover, headers, route.metadata)
  if route.prepay then
    guard(handle, prepaid.cover, headers, route.prepay)
  end
  guard(handle, locate, handle, headers, route, asked)
  if not identified(handle, headers, route) then
    return refuse(handle, asked.api, "401", "unidentified", identity.UNKNOWN)
  end
  guard(handle, settle_all, headers, route.defaults)
  local metered = not UNMETERED[headers:get(":method") or ""]
  if metered then
    local size = guard(handle, oversized, headers, route.body_limit)
    local buffer = not size and handle:body() or nil
    guard(handle, read, handle, route, asked, buffer, size)
  else
    guard(handle, meter.set, handle, "unmetered", true)
    guard(handle, hold.set, handle, route.holds, 0, 0)
  end
  local why = guard(handle, misplaced, handle, route, metered)
  if why then
    return refuse(handle, asked.api, "404", "no_model", why)
  end
  guard(handle, settle.note, handle, route.settle)
  if metered and route.prepay then
    prepay(handle, route, asked.api)
  end
end

-- Charges the answer now, where the route wants that. The piece in hand waits, and is out of reach then.
local function book(handle, reader)
  local call = reader.settle and guard(handle, settle.prepare, handle, reader.settle)
  if not call then
    return
  end
  local headers, body = ask(handle, settle.look, call)
  local waits = guard(handle, settle.charge, handle, call, headers, body)
  local looks, begun = 0, handle:timestamp()
  while waits and looks < MAX_LOOKS and handle:timestamp() - begun < reader.settle.timeoutMs do
    looks = looks + 1
    headers, body = ask(handle, settle.look, call)
    waits = not guard(handle, settle.seen, call, headers, body)
  end
end

-- The answer is read to its end. `last` is its last piece, of which `sent` goes on.
local function finish(handle, reader, last, sent)
  local rest = guard(handle, response.close, reader, handle)
  if last and (rest or reader.tail) then
    -- The last piece is alive when it carried the end of the stream. After trailers it is not, and half an
    -- event, which a client has no use for, is lost.
    pcall(set_bytes, last, sent .. (reader.tail or "") .. (rest or ""))
  end
  book(handle, reader)
end

-- One piece through the reader. Gives the bytes that go on, and whether the reader broke.
local function pass(handle, reader, chunk)
  local body = guard(handle, bytes, chunk) or ""
  if body == "" and not reader.settle then
    -- HTTP/1 ends in an empty piece.
    return body, false
  end
  local ok, out = pcall(response.push, reader, handle, body)
  if not ok then
    fault(handle, out)
    out = reader.stream and reader.stream.hold and sse.held(reader.stream) .. body or nil
  end
  local sent = settle.part(reader, out or body, ok)
  if sent ~= body then
    guard(handle, set_bytes, chunk, sent)
  end
  return sent, not ok
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
      sent, broken = pass(handle, reader, chunk)
      if not broken and settle.complete(reader, sent) then
        -- What comes after the end is nobody's business: asking for it would hold this piece until it comes.
        finish(handle, reader, last, sent)
        return
      end
    end
    chunk = next_chunk()
  end
  if not broken then
    finish(handle, reader, last, sent)
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
