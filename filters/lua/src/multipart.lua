-- multipart: the field `model` of a form. Parsers differ in what they let pass, so a form that two of them
-- could read differently has no model that can be told. Time is linear: parts are found by plain finds.

local byte, find, gmatch, gsub, lower = string.byte, string.find, string.gmatch, string.gsub, string.lower
local min, sub = math.min, string.sub

-- No part has more headers, and RFC 2046 allows no longer boundary.
local MAX_HEAD, MAX_BOUNDARY = 4096, 70

local KEY = '^[ \t]*;[ \t]*([^%s;="]+)[ \t]*=[ \t]*'
local QUOTED, TOKEN = KEY .. '"([^"\\]*)"', KEY .. '([^%s;,"]*)'
local PLAIN = { ["7bit"] = true, ["8bit"] = true, binary = true }

local multipart = {}

-- A parameter of a header value: nil when there is none, false when not all would read it alike: it is there
-- twice or in the form `name*`, a backslash escapes or does not, or the value is nonsense.
local function parameter(line, name)
  local found
  local at = find(line, ";", 1, true) or #line + 1
  while find(line, "[^ \t;]", at) do
    local _, stop, key, value = find(line, QUOTED, at)
    if not stop then
      _, stop, key, value = find(line, TOKEN, at)
    end
    key = stop and lower(key)
    if not stop or (key == name and found) or sub(key, 1, #name + 1) == name .. "*" then
      return false
    end
    found = key == name and value or found
    at = stop + 1
  end
  return found
end

-- Is a part with this head the field `model`? nil when it cannot be told.
local function is_model(head)
  local is, plain = false, true
  for line in gmatch(gsub(head, "\r?\n[ \t]+", " "), "[^\r\n]+") do
    local _, _, key, coding = find(line, "^([^:%s]+)[ \t]*:[ \t]*([^ \t]*)")
    key = key and lower(key)
    if key == "content-disposition" then
      local name = parameter(line, "name")
      if name == false then
        return nil
      end
      is = is or name == "model"
    elseif key == "content-transfer-encoding" then
      plain = plain and PLAIN[lower(coding)]
    end
  end
  if is and not plain then
    return nil
  end
  return is
end

-- The next delimiter from `at` on: where the end of the line before it is, and the end of its own line; nil
-- for that when it closes the form. `mark` begins with a line's end, which the first delimiter need not have.
local function delimiter(body, mark, at)
  local first, last = 0, #mark - 1
  if at > 1 or sub(body, 1, last) ~= sub(mark, 2) then
    first, last = find(body, mark, at, true)
  end
  while first do
    local _, stop = find(body, "^[ \t]*\r?\n", last + 1)
    if stop or find(body, "^%-%-[ \t]*\r?\n", last + 1) or find(body, "^%-%-[ \t]*$", last + 1) then
      return first, stop
    end
    first, last = find(body, mark, last + 1, true)
  end
  return nil
end

-- The boundary of a form; nil when there is none, false when it cannot be told.
local function boundary_of(kind)
  if not find(lower(kind), "multipart/form-data", 1, true) then
    return nil
  end
  local boundary = parameter(kind, "boundary")
  return boundary and boundary ~= "" and #boundary <= MAX_BOUNDARY and boundary
end

-- The value of the part from `from` up to the delimiter before `to`, when it is the field; else nil, and
-- false when that cannot be told.
local function field(body, from, to)
  local head = sub(body, from, min(from + MAX_HEAD, to and to - 1 or #body))
  if find(head, "^\r?\n") then
    return nil
  end
  local stop, blank = find(head, "\r?\n\r?\n")
  local is = stop and is_model(sub(head, 1, stop - 1))
  if is == false then
    return nil
  end
  if not is or not to then
    return false
  end
  return sub(body, from + blank, byte(body, to - 1) == 13 and to - 2 or to - 1)
end

-- The field `model` of a body of this content type: nil when it is no form or has none, false when that
-- cannot be told.
function multipart.model(kind, body)
  local boundary = boundary_of(kind)
  if not boundary then
    return boundary
  end
  local mark = "\n--" .. boundary
  local model
  local _, at = delimiter(body, mark, 1)
  while at do
    local to, next_at = delimiter(body, mark, at)
    local value = field(body, at + 1, to)
    if value == false or (value and model and value ~= model) then
      return false
    end
    model = value or model
    at = next_at
  end
  return model
end

return multipart
