-- edits: changes to a body, each where it has to be and none anywhere else.

local byte, concat, sub = string.byte, table.concat, string.sub
local solid = json.solid

local edits = {}

-- Puts `text` in the place of the bytes from `from` up to `to`. No two changes may overlap; of two at one
-- place the earlier comes first.
function edits.replace(list, from, to, text)
  local i = #list + 1
  while i > 1 and list[i - 1].from > from do
    list[i] = list[i - 1]
    i = i - 1
  end
  list[i] = { from = from, to = to, text = text }
end

-- Makes `member` the first one of the object at `at`.
function edits.insert(list, body, at, member)
  local rest = byte(body, solid(body, at + 1)) == 125 and "" or ","
  edits.replace(list, at + 1, at + 1, member .. rest)
end

-- The body with all changes, or nil when there are none.
function edits.apply(list, body)
  if not list[1] then
    return nil
  end
  local parts, at = {}, 1
  for i = 1, #list do
    parts[2 * i - 1], parts[2 * i] = sub(body, at, list[i].from - 1), list[i].text
    at = list[i].to
  end
  parts[#parts + 1] = sub(body, at)
  return concat(parts)
end

return edits
