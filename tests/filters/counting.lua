-- luacheck: globals string table coroutine work_begin work_end
-- counting: how much work the filter does, the same number on every run. Loaded before all else: it puts
-- counting functions in the place of those that look at many bytes in one call, counts what the others do by
-- instructions, and the bytes that are newly made by what the collector, which stands still, would free.

local collect, create, sethook = collectgarbage, coroutine.create, debug.sethook
local EVERY = 100

local instructions, bytes = 0, 0

local function tick()
  instructions = instructions + EVERY
end

-- Hooks belong to a coroutine.
function coroutine.create(run)
  local thread = create(run)
  sethook(thread, tick, "", EVERY)
  return thread
end

local find, sub, gsub, gmatch, match, lower =
  string.find, string.sub, string.gsub, string.gmatch, string.match, string.lower
local concat = table.concat

function string.find(text, pattern, at, plain)
  local from, to, one, two, three = find(text, pattern, at, plain)
  local anchored = not plain and sub(pattern, 1, 1) == "^"
  bytes = bytes + (to or anchored and (at or 1) or #text) - (at or 1) + 1
  return from, to, one, two, three
end

function string.sub(text, from, to)
  local part = sub(text, from, to)
  bytes = bytes + #part
  return part
end

function string.gsub(text, ...)
  bytes = bytes + #text
  return gsub(text, ...)
end

function string.gmatch(text, ...)
  bytes = bytes + #text
  return gmatch(text, ...)
end

function string.match(text, ...)
  bytes = bytes + #text
  return match(text, ...)
end

function string.lower(text)
  bytes = bytes + #text
  return lower(text)
end

function table.concat(list, ...)
  local text = concat(list, ...)
  bytes = bytes + #text
  return text
end

local before = 0

-- Begins to count.
function work_begin()
  collect()
  collect("stop")
  instructions, bytes, before = 0, 0, collect("count")
end

-- Instructions, bytes looked at, bytes made.
function work_end()
  local made = (collect("count") - before) * 1024
  collect("restart")
  collect()
  return instructions, bytes, made
end
