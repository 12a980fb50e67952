-- faults: what can fail runs here, so that a fault never breaks traffic.

local pcall, sub, tonumber, tostring = pcall, string.sub, tonumber, tostring

local faults = {}

-- Logged with Lua's own words, which say where, and counted. Never with a body.
function faults.note(handle, message)
  pcall(handle.logErr, handle, "llmroute: " .. sub(tostring(message), 1, 200))
  pcall(function()
    meter.set(handle, "filter_error", (tonumber(meter.get(handle).filter_error) or 0) + 1)
  end)
end

function faults.guard(handle, run, ...)
  local ok, result = pcall(run, ...)
  if not ok then
    faults.note(handle, result)
    return nil
  end
  return result
end

-- Calls the service with what `build` makes of the `call`. Under pcall although it yields, as Envoy's LuaJIT
-- can do that: a cluster that is not there is a fault.
function faults.ask(handle, build, call)
  local ok, headers, body = pcall(function()
    return handle:httpCall(build(call))
  end)
  if not ok then
    faults.note(handle, headers)
    return nil
  end
  return headers, body
end

return faults
