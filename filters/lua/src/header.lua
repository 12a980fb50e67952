-- header: one value for a header, whatever was sent of it; and what headers say of a body.

local gsub, lower = string.gsub, string.lower

local header = {}

function header.set(headers, name, value)
  headers:remove(name)
  headers:add(name, value)
end

-- One value: the client's first usable one, else the default. Gives it; without both the header is gone.
function header.settle(headers, name, default)
  local count = headers:getNumValues(name)
  local value
  for i = 0, count - 1 do
    value = value or text.header_value(headers:getAtIndex(name, i) or "")
  end
  value = value or default
  if not value then
    if count > 0 then
      headers:remove(name)
    end
  elseif count ~= 1 or headers:getAtIndex(name, 0) ~= value then
    header.set(headers, name, value)
  end
  return value
end

-- Is the body as it was written, without a coding that would have to be undone to read it?
function header.plain(headers)
  local coding = headers:get("content-encoding")
  if not coding then
    return true
  end
  coding = gsub(lower(coding), "[ \t]+", "")
  return coding == "" or coding == "identity"
end

return header
