-- rls: a call of the rate limit service written and read by hand: gRPC's frame around a RateLimitRequest, and
-- what the answer says of each limit. Protobuf of a few fields, no more.

local byte, char, concat, floor, sub = string.byte, string.char, table.concat, math.floor, string.sub
local type = type

local rls = {}

local PATH = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"

local function varint(number)
  local out = ""
  while number >= 128 do
    out = out .. char(number % 128 + 128)
    number = floor(number / 128)
  end
  return out .. char(number)
end

-- A field that has a length. Tags are 8 * number + 2: 10, 18 and 26 for the numbers 1 to 3.
local function field(tag, value)
  return char(tag) .. varint(#value) .. value
end

-- RateLimitDescriptor: entries = 1 (key = 1, value = 2), hits_addend = 3 (a message with the number in 1).
local function descriptor(charge, hits)
  local parts = {}
  for i = 1, #charge.entries do
    local entry = charge.entries[i]
    parts[i] = field(10, field(10, entry[1]) .. field(18, entry[2]))
  end
  parts[#parts + 1] = field(26, char(8) .. varint(hits))
  return concat(parts)
end

-- The body of a call about `charges`, each with `entries`, pairs of key and value. With `book` it adds their
-- `hits` to the counters, else nothing.
local function frame(domain, charges, book)
  local parts = { field(10, domain) }
  for i = 1, #charges do
    parts[i + 1] = field(18, descriptor(charges[i], book and charges[i].hits or 0))
  end
  local message = concat(parts)
  local size = #message
  return char(0, floor(size / 16777216), floor(size / 65536) % 256, floor(size / 256) % 256, size % 256)
    .. message
end

-- What `httpCall` takes, for a call of the service that the `route` names. With `book_ms` the charges are
-- made, which may take so long.
function rls.call(route, charges, book_ms)
  local headers = {
    [":method"] = "POST",
    [":path"] = PATH,
    [":authority"] = route.cluster,
    ["content-type"] = "application/grpc",
    ["te"] = "trailers",
  }
  return route.cluster, headers, frame(route.domain, charges, book_ms), book_ms or route.timeoutMs
end

-- The number at `at`, and where the next thing begins; nothing when it is cut off.
local function number(data, at)
  local value, scale = 0, 1
  local c = byte(data, at)
  while c do
    value, scale, at = value + c % 128 * scale, scale * 128, at + 1
    if c < 128 then
      return value, at
    end
    c = byte(data, at)
  end
  return nil
end

-- Every number and everything with a length that the field `wanted` of a message holds; nil when it is none.
local function values(data, wanted)
  local found, at = {}, 1
  while at <= #data do
    local tag, value
    tag, at = number(data, at)
    local wire = tag and tag % 8
    if wire == 0 or wire == 2 then
      value, at = number(data, at)
      if wire == 2 and value then
        value, at = sub(data, at, at + value - 1), at + value
      end
    else
      at = (wire == 1 or wire == 5) and at + (wire == 1 and 8 or 4) or nil
    end
    if not at or at > #data + 1 then
      return nil
    end
    if value and floor(tag / 8) == wanted then
      found[#found + 1] = value
    end
  end
  return found
end

-- The number in the field `wanted` of a message, 0 when it is not there.
local function one(data, wanted)
  local found = values(data, wanted)
  return found and found[1] or 0
end

-- What a status says (code = 1, current_limit = 2, limit_remaining = 3, duration_until_reset = 4, a message
-- with the seconds in 1); false where it names no limit, for the service answers as well when it has none.
local function status(data)
  local limit, wait = values(data, 2), values(data, 4)
  if not limit or not limit[1] then
    return false
  end
  return { over = one(data, 1) == 2, left = one(data, 3), reset = wait and wait[1] and one(wait[1], 1) or 0 }
end

-- What the service's answer says of each of `count` limits: `over`, `left`, the seconds to the `reset`, or
-- false. nil: this is no answer.
function rls.statuses(headers, body, count)
  if type(headers) ~= "table" or headers[":status"] ~= "200" or (headers["grpc-status"] or "0") ~= "0" then
    return nil
  end
  local a, b, c, d, e = byte(type(body) == "string" and body or "", 1, 5)
  if a ~= 0 or not e or ((b * 256 + c) * 256 + d) * 256 + e ~= #body - 5 then
    return nil
  end
  local statuses = values(sub(body, 6), 2)
  if not statuses or #statuses ~= count then
    return nil
  end
  local out = {}
  for i = 1, count do
    out[i] = status(statuses[i])
  end
  return out
end

return rls
