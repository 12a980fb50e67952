-- request: what a request body says: the model, about how long the prompt is, and whether usage must be
-- asked for on the client's behalf.

local byte, ceil, find, match, sub = string.byte, math.ceil, string.find, string.match, string.sub
local members, solid = json.members, json.solid
local header_value, unescape = text.header_value, text.unescape

-- Longer names are no model's, and headers have to stay small. With every byte written as \uXXXX the raw
-- form is six times as long.
local MAX_MODEL = 256

local WANTED = json.names("model", "messages", "prompt", "input", "stream", "stream_options")
local INCLUDE = json.names("include_usage")

local request = {}

local function model(body, found)
  local from = found.from.model
  if not from or byte(body, from) ~= 34 then
    return "unknown"
  end
  local raw = sub(body, from + 1, found.to.model - 2)
  local name = #raw <= 6 * MAX_MODEL and unescape(raw)
  name = name and header_value(name)
  return name and #name <= MAX_MODEL and name or "unknown"
end

local function value(body, found, name)
  local from = found.from[name]
  return from and sub(body, from, found.to[name] - 1)
end

local function splice(body, from, to, insert)
  return sub(body, 1, from - 1) .. insert .. sub(body, to)
end

-- The body with `stream_options.include_usage` true, or nil when the client asked itself, does not stream,
-- or sent what no API takes.
local function with_usage(body, start, found)
  if value(body, found, "stream") ~= "true" or not (found.from.messages or found.from.prompt) then
    return nil
  end
  local from, to = found.from.stream_options, found.to.stream_options
  if not from then
    return splice(body, start + 1, start + 1, '"stream_options":{"include_usage":true},')
  elseif byte(body, from) == 110 then
    return splice(body, from, to, '{"include_usage":true}')
  end
  local inner = json.spans()
  if not members(body, from, INCLUDE, inner) then
    return nil
  end
  local asked = value(body, inner, "include_usage")
  if not asked then
    local rest = byte(body, solid(body, from + 1)) == 125 and "" or ","
    return splice(body, from + 1, from + 1, '"include_usage":true' .. rest)
  elseif asked == "false" or asked == "null" then
    return splice(body, inner.from.include_usage, inner.to.include_usage, "true")
  end
  return nil
end

-- Is it an API whose streams take `stream_options`: .../chat/completions or .../completions?
local function streams(path)
  return find(match(path, "^[^?#]*") or "", "/completions$") ~= nil
end

-- The model (or "unknown"), the estimate of the prompt in tokens, and the body to send instead, or nil.
function request.read(body, path)
  local found = json.spans()
  local start = json.document(body, WANTED, found)
  if not start then
    return "unknown", ceil(#body / 4), nil
  end
  local name = found.from.messages and "messages" or found.from.prompt and "prompt" or "input"
  local from = found.from[name]
  local bytes = from and found.to[name] - from or #body
  return model(body, found), ceil(bytes / 4), streams(path) and with_usage(body, start, found) or nil
end

return request
