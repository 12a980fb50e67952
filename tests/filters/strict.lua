-- strict: what Envoy Gateway's Strict validation does to a script, emulated (PLATFORM 3): the functions that
-- its Lua has not got are gone, every object answers with one made-up word, unknown methods raise, and time
-- and stack are short. Written from the facts, not from its sources.

local error, select, type = error, select, type
local sethook, getinfo, loadstring, pcall, setmetatable = debug.sethook, debug.getinfo, loadstring, pcall, setmetatable
local match, tonumber = string.match, tonumber

local MAX_STEPS = 2e7
local MAX_DEPTH = 200

if jit then
  jit.off() -- compiled code calls no hooks
end

local errors = {}

local function word(value)
  return function()
    return value
  end
end

local function object(methods)
  return setmetatable(methods, {
    __index = function(_, name)
      error("attempt to call a non-function object: " .. name)
    end,
  })
end

local buffer = object({ length = word(10), getBytes = word("example_bytes"), setBytes = word() })
local headers = object({
  add = word(),
  get = word("example_value"),
  getAtIndex = word("example_value"),
  getNumValues = word(1),
  remove = word(),
  replace = word(),
})
local metadata = object({ get = word("get_result"), set = word() })
local context = object({ get = word("get_example") })
local log = function(_, message)
  if type(message) ~= "string" then
    error("cannot perform concat")
  end
  errors[#errors + 1] = message
end

local handle = object({
  logTrace = log,
  logDebug = log,
  logInfo = log,
  logWarn = log,
  logErr = log,
  logCritical = log,
  headers = word(headers),
  trailers = word(headers),
  body = word(buffer),
  bodyChunks = function()
    local left = 3
    return function()
      left = left - 1
      return left >= 0 and buffer or nil
    end
  end,
  httpCall = word(headers),
  respond = word(),
  metadata = word(context),
  filterContext = word(context),
  streamInfo = word(object({ dynamicMetadata = word(metadata), protocol = word("HTTP/2"), routeName = word("r") })),
  connection = word(object({ ssl = word(object({})) })),
  base64Escape = function(_, value)
    return value
  end,
  timestamp = word(0),
  timestampString = word(""),
})

local globals = _G
for _, name in ipairs({
  "require", "module", "package", "load", "loadstring", "loadfile", "dofile", "debug", "rawget", "rawset",
  "rawequal", "getmetatable", "setmetatable", "getfenv", "setfenv", "newproxy", "jit", "python", "io", "_G",
}) do
  globals[name] = nil
end
os.execute, os.exit = nil, nil
print = word()

-- A match that fails gives nothing at all there, not a nil.
local function nothing(first, ...)
  if first == nil then
    return
  end
  return first, ...
end

string.match = function(...)
  return nothing(match(...))
end

globals.tonumber = function(...)
  if select("#", ...) == 0 then
    error("bad argument #1 to tonumber (value expected)")
  end
  return tonumber(...)
end

local steps = 0

local function limit(event)
  if event == "call" then
    -- Asked of the stack, not counted: LuaJIT tells of a tail call but not that the caller's frame is gone.
    if getinfo(MAX_DEPTH, "f") then
      sethook()
      error("stack overflow")
    end
  elseif event == "count" then
    steps = steps + 1000
    if steps > MAX_STEPS then
      sethook()
      error("lua execution timeout")
    end
  end
end

-- Loads the script and calls one entry point. Gives nil or what was wrong, and what was logged.
return function(source, entry)
  local chunk, wrong = loadstring(source .. "\n" .. entry .. "(...)")
  if not chunk then
    return wrong, errors
  end
  steps = 0
  sethook(limit, "c", 1000)
  local ok, problem = pcall(chunk, handle)
  sethook()
  return not ok and problem or nil, errors
end
