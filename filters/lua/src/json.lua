-- json: finds the members of a complete JSON object without building anything.
-- It reads what Python's json.loads(strict=False) reads, no more and no less: one crisp rule, and a
-- fuzzer can hold it. Text is jumped over with plain finds (memchr); nothing is allocated per token.

local byte, find, sub = string.byte, string.find, string.sub
local escapes_ok, unescape = text.escapes_ok, text.unescape

-- Deeper text is unreadable. Go's decoder stops here too, and Python's long before.
local MAX_DEPTH = 10000
-- The longest key anybody asks for (cache_creation_input_tokens) in its quotes, with every character written
-- as \uXXXX.
local MAX_KEY = 27 * 6 + 2

local WORDS = { [116] = "true", [102] = "false", [110] = "null", [78] = "NaN", [73] = "Infinity" }

local json = {}

-- The first position from `at` on that is not blank; just past the end when there is none.
local function solid(body, at)
  local c = byte(body, at)
  if c and c > 32 then
    return at
  end
  return find(body, "[^ \t\r\n]", at) or #body + 1
end
json.solid = solid

-- The position after the closing quote of a string whose inside goes on at `at`. Without one in `body`:
-- nil, and whether an odd run of backslashes ends it. `odd` says that one ended the piece before.
-- Only the run right before a quote is looked at, so what the string holds costs one memchr.
local function string_end(body, at, odd)
  local from = odd and at + 1 or at
  local quote = from - 1
  while true do
    quote = find(body, '"', quote + 1, true)
    local stop = quote or #body + 1
    local run = stop - 1
    while run >= from and byte(body, run) == 92 do
      run = run - 1
    end
    local escaped = (stop - run) % 2 == 0
    if not quote then
      return nil, escaped
    elseif not escaped then
      return quote + 1
    end
  end
end
json.string_end = string_end

local function scalar_end(body, at)
  local c = byte(body, at)
  local word = WORDS[c or 0]
  if c == 45 and byte(body, at + 1) == 73 then
    word = "-Infinity"
  end
  if word then
    local stop = at + #word
    return sub(body, at, stop - 1) == word and stop or nil
  end
  local first = c == 45 and at + 1 or at
  local _, stop = find(body, "^%d+", first)
  if not stop or (byte(body, first) == 48 and stop > first) then
    return nil
  end
  local _, fraction = find(body, "^%.%d+", stop + 1)
  stop = fraction or stop
  local _, exponent = find(body, "^[eE][+-]?%d+", stop + 1)
  return (exponent or stop) + 1
end

json.scalar_end = scalar_end

-- For the member whose key begins at `at`: where its value begins, and where its key ends.
local function member(body, at)
  if byte(body, at) ~= 34 then
    return nil
  end
  local stop = string_end(body, at + 1)
  if not stop then
    return nil
  end
  local colon = solid(body, stop)
  if byte(body, colon) ~= 58 then
    return nil
  end
  return solid(body, colon + 1), stop
end
json.member = member

-- After a value that ended before `at`: closes what ends here. Gives where the next value begins and the
-- depth, or at depth 0 where the outermost value ended.
local function after_value(body, at, depth, objects)
  while depth > 0 do
    at = solid(body, at)
    local c = byte(body, at)
    if c == 44 then
      at = solid(body, at + 1)
      if objects[depth] then
        at = member(body, at)
      end
      return at, depth
    elseif c ~= (objects[depth] and 125 or 93) then
      return nil
    end
    depth = depth - 1
    at = at + 1
  end
  return at, 0
end

-- The position after the value that begins at `at`; nil when it is not JSON. Loops, so depth costs no stack.
local function value_end(body, at)
  local depth, objects = 0, nil
  repeat
    local c = byte(body, at)
    local opened = false
    if c == 34 then
      at = string_end(body, at + 1)
    elseif c == 123 or c == 91 then
      if depth == MAX_DEPTH then
        return nil
      end
      local object = c == 123
      at = solid(body, at + 1)
      if byte(body, at) == (object and 125 or 93) then
        at = at + 1
      else
        objects = objects or {}
        depth = depth + 1
        objects[depth] = object
        opened = true
        if object then
          at = member(body, at)
        end
      end
    else
      at = scalar_end(body, at)
    end
    if at and not opened then
      at, depth = after_value(body, at, depth, objects)
    end
  until not at or depth == 0
  return at
end
json.value_end = value_end

-- A set of member names to look for.
function json.names(...)
  local list = { ... }
  for i = 1, #list do
    list[list[i]] = true
  end
  return list
end

-- Room for what `members` finds: by name, where the key begins, the value begins, and after its end; and
-- `count` names as a list.
function json.spans()
  return { key = {}, from = {}, to = {}, count = 0 }
end

-- The text of the member `name` among what was found in `body`; nil without it.
function json.raw(body, spans, name)
  local from = spans.from[name]
  return from and sub(body, from, spans.to[name] - 1)
end

-- Fills `spans` with the wanted members of the object at `at`; of repeated keys the last counts. Gives the
-- position after the object, or nil when there is no whole object.
function json.members(body, at, wanted, spans)
  for i = 1, spans.count do
    spans.from[spans[i]] = nil
  end
  spans.count = 0
  if byte(body, at) ~= 123 then
    return nil
  end
  at = solid(body, at + 1)
  if byte(body, at) == 125 then
    return at + 1
  end
  while true do
    local from, key_end = member(body, at)
    local to = from and value_end(body, from)
    if not to then
      return nil
    end
    if key_end - at <= MAX_KEY then
      local name = unescape(sub(body, at + 1, key_end - 2))
      if name and wanted[name] then
        if not spans.from[name] then
          spans.count = spans.count + 1
          spans[spans.count] = name
        end
        spans.key[name], spans.from[name], spans.to[name] = at, from, to
      end
    end
    at = solid(body, to)
    local c = byte(body, at)
    if c == 125 then
      return at + 1
    elseif c ~= 44 then
      return nil
    end
    at = solid(body, at + 1)
  end
end

-- The same for a text that is one JSON object and nothing else (a BOM may lead): where the object begins.
function json.document(body, wanted, spans)
  local start = solid(body, sub(body, 1, 3) == "\239\187\191" and 4 or 1)
  local stop = json.members(body, start, wanted, spans)
  if stop and solid(body, stop) > #body and escapes_ok(body) then
    return start
  end
  return nil
end

return json
