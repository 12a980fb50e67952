-- bench: the loops, in Lua, so that what is measured is Lua alone. CPU seconds of this thread of work.

local modules, naive = ...
local clock = os.clock

local context, known = {}, {}

-- As little of Envoy's handle as the meter needs; what Envoy adds is measured in Envoy.
local metadata = {
  get = function()
    return known
  end,
  set = function() end,
}
local info = {
  dynamicMetadata = function()
    return metadata
  end,
}
local values = {}
local headers = {
  get = function(_, name)
    return values[name]
  end,
  getNumValues = function()
    return 0
  end,
  remove = function() end,
}
local all = {
  get = function(_, key)
    return context[key]
  end,
}
local handle = {
  streamInfo = function()
    return info
  end,
  headers = function()
    return headers
  end,
  filterContext = function()
    return all
  end,
}

local bench = {}

function bench.open(kind, forced)
  values = { [":status"] = "200", ["content-type"] = kind }
  known = { usage_source = "none", prompt_estimate = 10, forced_usage = forced or nil }
  return modules.response.open(handle)
end

-- An answer of these pieces, `times` over, in one stream.
function bench.stream(kind, forced, pieces, times)
  local response, reader = modules.response, bench.open(kind, forced)
  local begun = clock()
  for _ = 1, times do
    for i = 1, #pieces do
      response.push(reader, handle, pieces[i])
    end
  end
  response.close(reader, handle)
  return clock() - begun
end

-- As many answers of these pieces.
function bench.answers(kind, pieces, times)
  local response = modules.response
  local begun = clock()
  for _ = 1, times do
    local reader = bench.open(kind, false)
    for i = 1, #pieces do
      response.push(reader, handle, pieces[i])
    end
    response.close(reader, handle)
  end
  return clock() - begun
end

-- Requests in turn: of one and the same the compiler would read it once, before the loop.
function bench.request(bodies, times)
  local path, request = modules.path, modules.request
  local begun = clock()
  for n = 1, times do
    local ends, named = path.read("/v1/chat/completions")
    request.read(bodies[n % #bodies + 1], ends, named, "application/json", handle, nil)
  end
  return clock() - begun
end

function bench.naive_request(bodies, times)
  local begun = clock()
  for n = 1, times do
    naive.model(bodies[n % #bodies + 1])
  end
  return clock() - begun
end

function bench.naive_stream(pieces, times)
  local state, begun = {}, clock()
  for _ = 1, times do
    for i = 1, #pieces do
      naive.push(state, pieces[i])
    end
  end
  return clock() - begun
end

function bench.naive_answers(pieces, times)
  local begun = clock()
  for _ = 1, times do
    local state = {}
    for i = 1, #pieces do
      naive.keep(state, pieces[i])
    end
    naive.close(state)
  end
  return clock() - begun
end

local function alive()
  collectgarbage()
  collectgarbage()
  return collectgarbage("count") * 1024
end

-- What a stream of `times` pieces keeps at its end, in bytes: what full collections find of it.
function bench.kept(kind, forced, pieces, times)
  local with
  do
    local reader = bench.open(kind, forced)
    for n = 1, times do
      modules.response.push(reader, handle, pieces[n % #pieces + 1])
    end
    with = alive()
    modules.response.close(reader, handle)
  end
  return with - alive()
end

return bench
