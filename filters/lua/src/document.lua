-- document: finds the top-level `usage` of a JSON answer that arrives in pieces, cut at any byte.
-- It keeps where it is (a few numbers) and the bytes of the usage object, never the answer.

local byte, concat, find, min, sub = string.byte, table.concat, string.find, math.min, string.sub
local string_end, unescape = json.string_end, text.unescape

-- A usage object with every detail that an API knows today has under 1 KiB; a longer one is given up.
local MAX_USAGE = 4096
-- "usage" with every character written as \uXXXX.
local MAX_KEY = 30

local document = {}

function document.new()
  return {
    depth = 0, -- of brackets around the next byte
    quoted = false, -- inside a string
    odd = false, -- the bytes so far end in an odd run of backslashes, inside a string
    key = false, -- at depth 1: the next string is a key
    name = nil, -- the bytes of the key being read
    usage = false, -- the last key read was "usage"
    parts = nil, -- the pieces of the usage object being read
    size = 0, -- their length
    over = false, -- nothing more to find
  }
end

local function keep(state, body, from, to)
  state.size = state.size + to - from + 1
  if state.size > MAX_USAGE then
    state.parts = nil
  else
    state.parts[#state.parts + 1] = sub(body, from, to)
  end
end

-- Goes on inside a string; gives the position after it, or past the end.
local function in_string(state, body, at)
  local stop, odd = string_end(body, at, state.odd)
  if state.name then
    local inner = min((stop or #body + 2) - 2, at + MAX_KEY)
    state.name = #state.name <= MAX_KEY and state.name .. sub(body, at, inner) or state.name
  end
  if not stop then
    state.odd = odd
    return #body + 1
  end
  state.odd, state.quoted = false, false
  if state.name then
    state.usage = unescape(state.name) == "usage"
    state.name = nil
  end
  return stop
end

-- One byte of structure at `at`.
local function structure(state, c, at)
  if c == 34 then
    state.quoted = true
    if state.depth == 1 and state.key then
      state.name = ""
    end
  elseif c == 58 then
    state.key = false
  elseif c == 44 then
    state.key = true
  elseif c == 123 or c == 91 then
    state.depth = state.depth + 1
    if state.depth == 2 and state.usage and c == 123 then
      state.parts, state.size = {}, 0
      return at
    end
  else
    state.depth = state.depth - 1
    state.over = state.depth == 0
  end
  return nil
end

-- Takes the next piece. Gives the last usage object that it completes, as text, else nil.
function document.push(state, body)
  local at, size, found = 1, #body, nil
  local from = state.parts and 1
  while at <= size and not state.over do
    if state.quoted then
      at = in_string(state, body, at)
    elseif state.depth == 0 then
      -- Blanks and a BOM may lead; what is no object has no usage.
      at = find(body, "[^ \t\r\n\239\187\191]", at)
      if not at then
        break
      end
      state.over = byte(body, at) ~= 123
      state.depth, state.key = 1, true
      at = at + 1
    else
      at = find(body, state.depth == 1 and '["{}%[%],:]' or '["{}%[%]]', at)
      if not at then
        break
      end
      from = structure(state, byte(body, at), at) or from
      if state.depth == 1 and state.parts then
        keep(state, body, from, at)
        found = state.parts and concat(state.parts) or found
        state.parts = nil
      end
      at = at + 1
    end
  end
  if state.parts then
    keep(state, body, from, size)
  end
  return found
end

return document
