-- document: finds usage in JSON that arrives in pieces, cut at any byte: one object, objects one after the
-- other (JSON lines), or an array of objects. It keeps where it is (a few numbers), the last keys and the
-- bytes of a usage object, never the answer. What it finds it tells `sink`: usage objects, and else small
-- events of the same shape.

local byte, find, format, min, sub = string.byte, string.find, string.format, math.min, string.sub
local string_end, unescape = json.string_end, text.unescape

-- A usage object with every detail that an API knows today has under 1 KiB; a longer one is given up.
local MAX_USAGE = 4096
-- The longest key asked for, with every character written as \uXXXX.
local MAX_KEY = 17 * 6
-- No number that counts is longer.
local MAX_SCALAR = 64

-- What may end text or a number: quotes and brackets, and where keys are read colons and commas as well.
local MARKS, ALL_MARKS = '["{}%[%]]', '["{}%[%],:]'
local MARK = { [34] = true, [91] = true, [93] = true, [123] = true, [125] = true }
-- The next one is near as a rule, and LuaJIT compiles comparisons but no searches.
local NEAR = 4

-- Objects that hold usage; objects inside of which `usage` does (in events only: in a whole answer they
-- are the model's words); values that say usage themselves.
local CARRIERS = { usage = true, usageMetadata = true, meta = true }
local NESTED = { response = true, message = true, delta = true }
local SCALARS = { done = true, prompt_eval_count = true, eval_count = true }

local document = {}

-- `event`: what comes is one event, not a whole answer.
function document.new(sink, event)
  return {
    sink = sink,
    event = event,
    base = 0, -- 1 inside of an array of objects
    depth = 0, -- of brackets around the next byte
    item = false, -- inside of an object that stands at the base
    quoted = false, -- inside a string
    odd = false, -- the bytes so far end in an odd run of backslashes, inside a string
    key = false, -- the next string is a key, if it stands where keys are read
    name = nil, -- the bytes of the key being read
    outer = nil, -- the last key of the item
    inner = nil, -- the last key of the member being looked into
    within = false, -- in a member that is looked into
    usage = nil, -- the bytes of the usage object being read, false when they are too many
    close = 0, -- the depth after its end
    scalar = nil, -- the bytes of the value being read
    values = nil, -- by name, of the item
    candidates = false, -- the item has some
    over = false, -- nothing more to find
  }
end

-- Keeps bytes of what is being read.
local function keep(state, body, from, to)
  if state.usage then
    state.usage = #state.usage + to - from < MAX_USAGE and state.usage .. sub(body, from, to)
  elseif state.scalar then
    state.scalar = #state.scalar + to - from < MAX_SCALAR and state.scalar .. sub(body, from, to) or nil
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
    local name = unescape(state.name)
    if state.within then
      state.inner = name
    else
      state.outer = name
    end
    state.name = nil
  end
  return stop
end

-- Are keys, colons and commas at this depth read?
local function reads(state)
  local above = state.depth - state.base
  return state.item and (above == 1 or above == 2 and state.within)
end

local function end_scalar(state)
  if state.scalar then
    state.values = state.values or {}
    state.values[state.outer] = state.scalar
    state.scalar = nil
  end
end

-- A bracket opens at `at`. Gives where to keep bytes from.
local function open(state, object, at)
  local depth = state.depth + 1
  local above = depth - state.base
  state.depth = depth
  if depth == 1 and not object and not state.event then
    state.base = 1
  elseif above == 1 then
    state.item, state.key, state.outer, state.values, state.candidates = object, true, nil, nil, false
  elseif not state.item or state.usage ~= nil then
    return nil
  elseif above == 2 and object and CARRIERS[state.outer or 0] then
    state.usage, state.close = "", depth - 1
    return at
  elseif above == 2 and object and state.event and NESTED[state.outer or 0] then
    state.within, state.key, state.inner = true, true, nil
  elseif above == 3 and object and state.within and state.inner == "usage" then
    state.usage, state.close = "", depth - 1
    return at
  elseif above == 3 and object and state.outer == "candidates" then
    state.candidates = true
  end
  return nil
end

-- The usage object is whole.
local function tell_usage(state)
  if state.usage and state.within then
    state.sink:event(format('{"type":"","%s":{"usage":%s}}', state.outer, state.usage))
  elseif state.usage then
    state.sink:usage(state.outer, state.usage)
  end
  state.usage = nil
end

-- The item is whole. In an event all else was told when it was found.
local function tell_item(state)
  end_scalar(state)
  local values = not state.event and state.values
  if values and (values.done or values.prompt_eval_count) then
    -- Ollama's embeddings are not said to be done.
    local counts = values.done and "" or ',"done":true'
    for name, value in pairs(values) do
      counts = counts .. format(',"%s":%s', name, value)
    end
    state.sink:event("{" .. sub(counts, 2) .. "}")
  elseif state.base == 1 and state.candidates then
    state.sink:event('{"candidates":[0]}')
  end
  state.item, state.values = false, nil
end

-- A bracket closes at `at`.
local function close(state, body, from, at)
  state.depth = state.depth - 1
  local above = state.depth - state.base
  if state.usage ~= nil and state.depth == state.close then
    keep(state, body, from, at)
    tell_usage(state)
  end
  if above == 1 then
    state.within = false
  elseif above == 0 and state.item then
    keep(state, body, from, at - 1)
    tell_item(state)
  end
  state.over = above < 0 or state.event and above == 0
end

-- One byte of structure at `at`. Gives where to keep bytes from.
local function structure(state, body, c, from, at)
  if c == 34 then
    state.quoted = true
    if state.key and state.usage == nil and reads(state) then
      state.name = ""
    end
  elseif c == 123 or c == 91 then
    return open(state, c == 123, at) or from
  elseif c == 125 or c == 93 then
    close(state, body, from, at)
  elseif c == 58 then
    state.key = false
    if not state.within and SCALARS[state.outer or 0] then
      state.scalar = ""
      return at + 1
    end
  else
    keep(state, body, from, at - 1)
    end_scalar(state)
    state.key = true
  end
  return from
end

-- The next mark from `at` on, and its byte; nil when there is none. `all`: a colon and a comma are marks.
local function next_mark(body, at, all)
  for i = at, at + NEAR - 1 do
    local c = byte(body, i)
    if MARK[c or 34] or all and (c == 58 or c == 44) then
      return c and i, c
    end
  end
  at = find(body, all and ALL_MARKS or MARKS, at + NEAR)
  return at, at and byte(body, at)
end

-- Takes the next piece.
function document.push(state, body)
  local at, size, from = 1, #body, 1
  while at <= size and not state.over do
    if state.quoted then
      at = in_string(state, body, at)
    elseif state.depth == 0 then
      -- Blanks and a BOM may lead; what is neither object nor array has no usage.
      at = find(body, "[^ \t\r\n\239\187\191]", at)
      if not at then
        break
      end
      local c = byte(body, at)
      state.over = c ~= 123 and c ~= 91
      from = structure(state, body, c, from, at)
      at = at + 1
    else
      local c
      at, c = next_mark(body, at, state.usage == nil and reads(state))
      if not at then
        break
      end
      from = structure(state, body, c, from, at)
      at = at + 1
    end
  end
  keep(state, body, from, size)
end

return document
