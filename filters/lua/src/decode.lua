-- decode: what a text of JSON says, as tables. For what a policy says, once; bodies are never built.

local byte, sub, tonumber = string.byte, string.sub, tonumber
local member, scalar_end, solid, string_end = json.member, json.scalar_end, json.solid, json.string_end
local unescape = text.unescape

local WORDS = { ["true"] = true, ["false"] = false }

local decode = {}
local value

-- An object or an array that begins at `at`, and the position after it; no position when it is none.
local function container(body, at)
  local object, out, n = byte(body, at) == 123, {}, 0
  local close = object and 125 or 93
  at = solid(body, at + 1)
  if byte(body, at) == close then
    return out, at + 1
  end
  while true do
    local key = n + 1
    local one
    if object then
      local from, stop = member(body, at)
      if not from then
        return nil
      end
      key, at = unescape(sub(body, at + 1, stop - 2)) or "", from
    end
    one, at = value(body, at)
    if not at then
      return nil
    end
    out[key], n = one, n + 1
    at = solid(body, at)
    local c = byte(body, at)
    if c == close then
      return out, at + 1
    elseif c ~= 44 then
      return nil
    end
    at = solid(body, at + 1)
  end
end

-- The value that begins at `at`, and the position after it.
function value(body, at)
  local c = byte(body, at)
  if c == 123 or c == 91 then
    return container(body, at)
  elseif c == 34 then
    local stop = string_end(body, at + 1)
    return stop and unescape(sub(body, at + 1, stop - 2)), stop
  end
  local stop = scalar_end(body, at)
  local raw = stop and sub(body, at, stop - 1)
  if WORDS[raw] ~= nil then
    return WORDS[raw], stop
  end
  return raw and tonumber(raw), stop
end

-- The object that the text is; nil when it is none.
function decode.object(body)
  local start = solid(body, 1)
  local out, stop = value(body, start)
  return byte(body, start) == 123 and stop and solid(body, stop) > #body and out or nil
end

return decode
