-- request: what a request says: the model, about how long the prompt is, and what to send instead so that
-- usage is reported and the answer is no longer than it may be.

local byte, ceil, find, sub = string.byte, math.ceil, string.find, string.sub
local members, raw = json.members, json.raw
local header_value, unescape = text.header_value, text.unescape

-- Longer names are no model's, and headers have to stay small. With every byte written as \uXXXX the raw
-- form is six times as long.
local MAX_MODEL = 256

-- Where APIs take the prompt; the first that is there is it.
local PROMPTS = { "messages", "prompt", "input", "contents", "documents", "texts", "query" }
local WANTED = json.names("model", "stream", "stream_options")
for _, name in ipairs(PROMPTS) do
  WANTED[name] = true
end
for name in pairs(maxtokens.names) do
  WANTED[name] = true
end
local INCLUDE = json.names("include_usage")
-- Room that is used again and again; no yield comes between.
local FOUND = json.spans()

local request = {}

-- The name as the header says it.
local function named(name)
  name = name and header_value(name)
  return name and #name <= MAX_MODEL and name or "unknown"
end

local function model(body, found)
  local from = found.from.model
  if not from or byte(body, from) ~= 34 then
    return "unknown"
  end
  local inside = sub(body, from + 1, found.to.model - 2)
  return named(#inside <= 6 * MAX_MODEL and unescape(inside))
end

-- Lists the change that makes `stream_options.include_usage` true. Gives whether there is one: not when the
-- client asked itself, does not stream, or sent what no API takes.
local function with_usage(list, body, start, found)
  if raw(body, found, "stream") ~= "true" or not (found.from.messages or found.from.prompt) then
    return false
  end
  local from, to = found.from.stream_options, found.to.stream_options
  if not from then
    edits.replace(list, start + 1, start + 1, '"stream_options":{"include_usage":true},')
    return true
  elseif byte(body, from) == 110 then
    edits.replace(list, from, to, '{"include_usage":true}')
    return true
  end
  local inner = json.spans()
  if not members(body, from, INCLUDE, inner) then
    return false
  end
  local asked = raw(body, inner, "include_usage")
  if not asked then
    edits.insert(list, body, from, '"include_usage":true')
  elseif asked == "false" or asked == "null" then
    edits.replace(list, inner.from.include_usage, inner.to.include_usage, "true")
  else
    return false
  end
  return true
end

local function estimate(body, found)
  for i = 1, #PROMPTS do
    local from = found.from[PROMPTS[i]]
    if from then
      return ceil((found.to[PROMPTS[i]] - from) / 4)
    end
  end
  return ceil(#body / 4)
end

-- The model of a body, of JSON that begins at `start` or of a form. What is both and names two has none.
local function in_body(body, start, found, kind)
  local in_json = start and model(body, found)
  if kind == "application/json" then
    return in_json or "unknown"
  end
  local field = multipart.model(kind, body)
  if field == nil then
    return in_json or "unknown"
  end
  field = named(field)
  return (not in_json or in_json == field) and field or "unknown"
end

-- What goes for a body of `size` bytes that is not read: the model of the path, if any, and the estimate.
function request.unread(size, in_path)
  return named(in_path), ceil(size / 4)
end

-- Is it the path of an API whose streams take `stream_options`: .../chat/completions or .../completions?
function request.streams(ends)
  return sub(ends, -12) == "/completions"
end

-- The API by the end of the path: anthropic, gemini or openai, whose errors all others' clients understand.
-- OpenAI has messages as well, below threads and completions.
function request.api(ends)
  if find(ends, ":%a+$") and find(ends, "models/", 1, true) then
    return "gemini"
  elseif find(ends, "/messages$") or find(ends, "/messages/[%a_]+$") then
    return (find(ends, "/threads/", 1, true) or find(ends, "/completions/", 1, true)) and "openai"
      or "anthropic"
  end
  return "openai"
end

-- Is it a path that counts tokens and makes none?
function request.counts(ends)
  return sub(ends, -12) == ":counttokens" or sub(ends, -22) == "/messages/count_tokens"
end

-- The model (or "unknown"), the estimate of the prompt in tokens, the body to send instead, or nil, whether
-- that asks for usage, and how many tokens the answer may have then, where the `route` bounds them. The
-- path says how it `ends` and which model is `in_path`: the upstream goes by that one, whatever the body
-- says. `kind` is the content type.
function request.read(body, ends, in_path, kind, route)
  local found, most = FOUND, route.max_tokens
  local start = json.document(body, WANTED, found)
  local name = in_path and named(in_path) or in_body(body, start, found, kind)
  if not start then
    return name, ceil(#body / 4), nil, false
  end
  local list, forced, longest = nil, false, nil
  if found.from.stream and request.streams(ends) and route.forces then
    list = {}
    forced = with_usage(list, body, start, found)
  end
  if most then
    list = list or {}
    longest = maxtokens.hold(list, body, start, found, ends, most)
  end
  return name, estimate(body, found), list and edits.apply(list, body), forced, longest
end

return request
