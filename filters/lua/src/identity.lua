-- identity: headers that say what other filters found out, such as the claims of a token, and who asks.

local floor, format, tonumber, tostring, type = math.floor, string.format, tonumber, tostring, type

local identity = {
  UNKNOWN = "Nobody knows who sends this request: it has no credentials, or they name no user.",
}

-- A number as a policy would write it: whole ones without a point, others as short as they can be told apart.
local function digits(value)
  if value == floor(value) then
    return format("%.0f", value)
  end
  local short = format("%.15g", value)
  return tonumber(short) == value and short or format("%.17g", value)
end

-- What the metadata says at `path`, as a header can carry it; nil for what is not there or no plain value.
local function found(handle, namespace, path)
  local value = handle:streamInfo():dynamicMetadata():get(namespace)
  for i = 1, #path do
    if type(value) ~= "table" then
      return nil
    end
    value = value[path[i]]
  end
  local kind = type(value)
  if kind == "number" then
    return digits(value)
  end
  return (kind == "string" or kind == "boolean") and text.header_value(tostring(value)) or nil
end

-- Takes from the client what it says in these headers. With a default each says that until more is known:
-- whatever fails after this, no client names its own value, and no limit misses its header.
function identity.cover(headers, list)
  for i = 1, #list do
    local one = list[i]
    local default = type(one.default) == "string" and text.header_value(one.default)
    headers:remove(one.header)
    if default then
      headers:add(one.header, default)
    end
  end
end

-- Sets one of them from the metadata, if that says something.
function identity.tell(handle, headers, one)
  local value = found(handle, one.namespace, one.path)
  if value then
    header.set(headers, one.header, value)
  end
end

return identity
