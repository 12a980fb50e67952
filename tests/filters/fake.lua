-- fake: enough of Envoy's stream handle to run the filter without Envoy, strict where Envoy is strict.
-- Objects from the handle die at each yield; a body that is not there is nil; headers are a list in which
-- names repeat; a header value may hold no control character. Loaded before any sandbox takes things away.

local setmetatable, error, type, ipairs, pairs = setmetatable, error, type, ipairs, pairs
local create, resume, status, yield = coroutine.create, coroutine.resume, coroutine.status, coroutine.yield

local fake = {}

-- An object whose methods raise once the coroutine has yielded, and for which unknown methods raise.
local function mortal(stream, methods)
  local born = stream.turn
  return setmetatable({}, {
    __index = function(_, name)
      local method = methods[name]
      if not method then
        error("no method " .. name)
      elseif stream.turn ~= born then
        error("object used outside of proper scope")
      end
      return function(self, ...)
        if stream.turn ~= born then
          error("object used outside of proper scope")
        end
        return method(...)
      end
    end,
  })
end

local function headers(stream, list)
  local methods = {}
  function methods.getNumValues(name)
    local count = 0
    for _, header in ipairs(list) do
      count = count + (header[1] == name and 1 or 0)
    end
    return count
  end
  function methods.getAtIndex(name, index)
    for _, header in ipairs(list) do
      if header[1] == name then
        if index == 0 then
          return header[2]
        end
        index = index - 1
      end
    end
    return nil
  end
  function methods.get(name)
    local joined
    for _, header in ipairs(list) do
      if header[1] == name then
        joined = joined and joined .. "," .. header[2] or header[2]
      end
    end
    return joined
  end
  function methods.add(name, value)
    if type(value) ~= "string" or value:find("[%c]") then
      error("a header value that no header may have")
    end
    list[#list + 1] = { name, value }
  end
  function methods.remove(name)
    for i = #list, 1, -1 do
      if list[i][1] == name then
        table.remove(list, i)
      end
    end
  end
  return mortal(stream, methods)
end

-- What Envoy does when a script sets a body.
local function content_length(list, size)
  for i = #list, 1, -1 do
    if list[i][1] == "content-length" then
      list[i][2] = string.format("%d", size)
      return
    end
  end
  list[#list + 1] = { "content-length", string.format("%d", size) }
end

local function buffer(stream, box, list)
  local methods = {}
  function methods.length()
    return #box.bytes
  end
  function methods.getBytes(index, length)
    if index < 0 or length < 0 or index + length > #box.bytes then
      error("index/length must be >= 0 and (index + length) must be <= buffer size")
    end
    return box.bytes:sub(index + 1, index + length)
  end
  function methods.setBytes(bytes)
    if type(bytes) ~= "string" then
      error("bytes must be a string")
    end
    box.bytes = bytes
    content_length(list, #bytes)
    return #bytes
  end
  return mortal(stream, methods)
end

local function metadata(stream)
  return mortal(stream, {
    set = function(namespace, key, value)
      local kind = type(value)
      if kind ~= "number" and kind ~= "string" and kind ~= "boolean" then
        error("no metadata value")
      end
      if stream.fail and stream.fail(key, value) then
        error("injected")
      end
      stream.metadata[namespace] = stream.metadata[namespace] or {}
      stream.metadata[namespace][key] = value
      stream.writes = stream.writes + 1
    end,
    get = function(namespace)
      local known = stream.metadata[namespace]
      if not known then
        return nil
      end
      local copy = {}
      for key, value in pairs(known) do
        copy[key] = value
      end
      return copy
    end,
  })
end

local function handle(stream, list, has_body, ended)
  local methods = {}
  local function wait(what)
    local got = yield(what)
    return got
  end
  function methods.headers()
    return headers(stream, list)
  end
  function methods.body(always)
    if not has_body then
      return always and buffer(stream, stream.empty, list) or nil
    end
    return buffer(stream, wait("body"), list)
  end
  function methods.bodyChunks()
    return function()
      if not has_body or ended() then
        return nil
      end
      local box = wait("chunk")
      return box and buffer(stream, box, list) or nil
    end
  end
  function methods.streamInfo()
    return mortal(stream, {
      dynamicMetadata = function()
        return metadata(stream)
      end,
    })
  end
  function methods.filterContext()
    if not stream.context then
      return nil
    end
    return mortal(stream, {
      get = function(key)
        return stream.context[key]
      end,
    })
  end
  -- Only text may be sent, and Envoy never comes back from here.
  function methods.respond(answer, body)
    if not string.find(answer[":status"], "^[2-5]%d%d$") or type(body) ~= "string" then
      error("no answer")
    end
    stream.response = { headers = answer, body = body }
    wait("respond")
    error("resumed after respond")
  end
  -- The test's `service` answers; Envoy lets everything die while it waits for one.
  function methods.httpCall(cluster, headers, body, timeout, asynchronous)
    if not stream.service then
      error("http call cluster invalid. Must be configured")
    end
    local answer = stream.service(cluster, headers, body, timeout, asynchronous)
    if asynchronous then
      return
    end
    stream.turn = stream.turn + 1
    return answer.headers, answer.body
  end
  -- Milliseconds; a call takes a tenth of a second.
  function methods.timestamp()
    return 100 * stream.turn
  end
  function methods.logErr(message)
    stream.logs[#stream.logs + 1] = message
  end
  -- The handle itself outlives yields.
  local self = {}
  for name, method in pairs(methods) do
    self[name] = function(_, ...)
      return method(...)
    end
  end
  return self
end

function fake.stream(context, fail)
  return { turn = 0, metadata = {}, writes = 0, logs = {}, context = context, fail = fail, empty = { bytes = "" } }
end

local function step(stream, thread, ...)
  stream.turn = stream.turn + 1
  local ok, wants = resume(thread, ...)
  if not ok then
    error(wants, 0)
  end
  return status(thread) ~= "dead" and wants or nil
end

-- Runs `run` over headers and a list of chunks (nil: the headers end it). `trailers`: not the last chunk but
-- what follows it ends the stream. `seen(chunk)` is called after each piece has gone on. Gives the chunks.
function fake.run(stream, run, list, chunks, trailers, seen)
  local last = false
  local thread = create(run)
  stream.empty.bytes = ""
  local wants = step(
    stream,
    thread,
    handle(stream, list, chunks ~= nil, function()
      return last
    end)
  )
  if wants == "respond" then
    return {}
  elseif not chunks then
    return stream.empty.bytes ~= "" and { stream.empty.bytes } or {}
  elseif wants == "body" then
    last = true
    local box = { bytes = table.concat(chunks) }
    wants = step(stream, thread, box)
    return wants == "respond" and {} or { box.bytes }
  end
  local out = {}
  for i, bytes in ipairs(chunks) do
    local box = { bytes = bytes }
    last = i == #chunks and not trailers
    if wants == "chunk" then
      wants = step(stream, thread, box)
    end
    out[i] = box.bytes
    if seen then
      seen(stream.metadata.llmroute)
    end
  end
  if wants == "chunk" then
    step(stream, thread, nil)
  end
  return out
end

return fake
