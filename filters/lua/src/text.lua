-- text: what JSON strings hold (escapes) and what may go into headers and metadata (UTF-8, no controls).

local byte, char, concat, find, floor = string.byte, string.char, table.concat, string.find, math.floor
local gsub, match, sub, tonumber = string.gsub, string.match, string.sub, tonumber

local ESCAPES = {
  [34] = '"',
  [47] = "/",
  [92] = "\\",
  [98] = "\b",
  [102] = "\f",
  [110] = "\n",
  [114] = "\r",
  [116] = "\t",
}

local text = {}

-- Every backslash must begin a known escape. Outside strings there is none in text that passed the scan.
function text.escapes_ok(json)
  local at = find(json, "\\", 1, true)
  while at do
    local c = byte(json, at + 1) or 0
    if c == 117 then
      if not find(json, "^%x%x%x%x", at + 2) then
        return false
      end
    elseif not ESCAPES[c] then
      return false
    end
    at = find(json, "\\", at + 2, true)
  end
  return true
end

local function utf8(code)
  if code < 128 then
    return char(code)
  elseif code < 2048 then
    return char(192 + floor(code / 64), 128 + code % 64)
  elseif code < 65536 then
    return char(224 + floor(code / 4096), 128 + floor(code / 64) % 64, 128 + code % 64)
  end
  return char(
    240 + floor(code / 262144),
    128 + floor(code / 4096) % 64,
    128 + floor(code / 64) % 64,
    128 + code % 64
  )
end

-- The text that the inside of a JSON string stands for; nil for a broken escape or half a surrogate pair.
function text.unescape(raw)
  local at = find(raw, "\\", 1, true)
  if not at then
    return raw
  end
  local parts, n, from = {}, 0, 1
  while at do
    local c, width = byte(raw, at + 1), 2
    local piece = ESCAPES[c or 0]
    if c == 117 then
      -- tonumber alone would take "-4" and "0x41".
      local code = find(raw, "^%x%x%x%x", at + 2) and tonumber(sub(raw, at + 2, at + 5), 16)
      width = 6
      if code and code >= 55296 and code < 56320 and sub(raw, at + 6, at + 7) == "\\u" then
        local low = tonumber(sub(raw, at + 8, at + 11), 16) or 0
        code = low >= 56320 and low < 57344 and 65536 + (code - 55296) * 1024 + low - 56320 or code
        width = 12
      end
      piece = code and not (code >= 55296 and code < 57344) and utf8(code)
    end
    if not piece then
      return nil
    end
    parts[n + 1], parts[n + 2] = sub(raw, from, at - 1), piece
    n = n + 2
    from = at + width
    at = find(raw, "\\", from, true)
  end
  parts[n + 1] = sub(raw, from)
  return concat(parts)
end

-- Is it UTF-8, without surrogates and overlong forms? Anything else breaks the rate limit call, which
-- carries it in a protobuf string, and a broken call admits.
function text.is_utf8(value)
  local at = find(value, "[\128-\255]")
  while at do
    local c, second = byte(value, at, at + 1)
    local low, high, width = 128, 191, 2
    if c >= 240 then
      width = 4
      low = c == 240 and 144 or low
      high = c == 244 and 143 or high
    elseif c >= 224 then
      width = 3
      low = c == 224 and 160 or low
      high = c == 237 and 159 or high
    end
    if c < 194 or c > 244 or not second or second < low or second > high then
      return false
    end
    for i = at + 2, at + width - 1 do
      local more = byte(value, i)
      if not more or more < 128 or more > 191 then
        return false
      end
    end
    at = find(value, "[\128-\255]", at + width)
  end
  return true
end

-- The value as a header can carry it: blanks around it gone; nil when nothing is left or a header cannot.
function text.header_value(value)
  if value ~= "" and not find(value, "[^!-~]") then
    return value
  end
  local inner = match(value, "^[ \t]*(.-)[ \t]*$")
  if not inner or inner == "" or find(inner, "%c") or not text.is_utf8(inner) then
    return nil
  end
  return inner
end

-- A string literal of JSON, for text without control characters.
function text.quote(value)
  local escaped = gsub(value, '["\\]', "\\%0")
  return '"' .. escaped .. '"'
end

return text
