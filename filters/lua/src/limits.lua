-- limits: the rate-limit headers of an answer. The proxy's own say N - 1 for a token limit of N and do not
-- reach the client (DESIGN 4.9); what the client gets is the true quantity.

local format, gmatch, match, max = string.format, string.gmatch, string.match, math.max
local tonumber, type = tonumber, type

local NAMES = { "limit", "remaining", "reset" }

local limits = {}

local function integer(number)
  return format("%.0f", number)
end

-- Takes a header out. Gives its last value: the proxy adds its own after what the upstream sent.
local function pull(headers, name)
  local count = headers:getNumValues(name)
  if type(count) ~= "number" or count < 1 then
    return nil
  end
  local value = headers:getAtIndex(name, count - 1)
  headers:remove(name)
  return type(value) == "string" and value or nil
end

local function number(value)
  local digits = value and match(value, "^%s*(%d+)")
  return digits and tonumber(digits) or nil
end

-- Takes the proxy's three headers out; gives what they said, or nil when they were not there.
function limits.take(headers)
  local policies = pull(headers, "x-ratelimit-limit")
  local remaining, reset = pull(headers, "x-ratelimit-remaining"), pull(headers, "x-ratelimit-reset")
  local limit = number(policies)
  if not limit then
    return nil
  end
  return { limit = limit, policies = policies, remaining = number(remaining), reset = number(reset) or 1 }
end

-- Of two limits that both may be the one reported, the one to believe: the shortest window that the reset
-- fits in, and a token limit before a request limit.
local function better(one, other, reset)
  if not other then
    return true
  elseif one.window ~= other.window then
    if (one.window < reset) ~= (other.window < reset) then
      return one.window >= reset
    end
    return one.window < other.window
  end
  return one.kind == "tokens" and other.kind ~= "tokens"
end

-- The limit of the policy that the proxy reported, or nil.
function limits.find(list, seen)
  local windows, named, found = {}, false, nil
  for limit, window in gmatch(seen.policies, "(%d+);w=(%d+)") do
    if tonumber(limit) == seen.limit then
      windows[tonumber(window)], named = true, true
    end
  end
  for i = 1, #list do
    local one = list[i]
    -- Envoy names no window for a unit that it does not know.
    if
      one.reported == seen.limit
      and (windows[one.window] or not named)
      and better(one, found, seen.reset)
    then
      found = one
    end
  end
  return found
end

local function replace(headers, limit, remaining, reset)
  for i = 1, #NAMES do
    headers:remove("x-ratelimit-" .. NAMES[i] .. "-tokens")
    headers:remove("x-ratelimit-" .. NAMES[i] .. "-requests")
  end
  headers:add("x-ratelimit-limit-" .. limit.kind, integer(limit.quantity))
  headers:add("x-ratelimit-remaining-" .. limit.kind, integer(remaining))
  headers:add("x-ratelimit-reset-" .. limit.kind, integer(reset))
end

-- The headers of an answer that was admitted: quantity, quantity minus used at admission, seconds.
function limits.admit(headers, limit, seen)
  replace(headers, limit, max(0, (seen.remaining or 0) + limit.quantity - limit.reported), seen.reset)
end

-- Is it the proxy's refusal? A local reply has none of what every answer of a server has one of. The
-- header x-envoy-ratelimited proves nothing: an upstream can send it, and EG turns it off.
function limits.refused(headers, status, seen)
  return status == 429 and seen ~= nil and seen.remaining == 0 and errors.bare(headers)
end

-- A refusal: its headers, by name, and its body in the shape of the API.
function limits.refusal(limit, seen, model, api)
  local wait = max(1, seen.reset)
  local kind, what, headers = "tokens", "", {}
  if limit then
    kind = limit.kind
    headers["x-ratelimit-limit-" .. kind] = integer(limit.quantity)
    headers["x-ratelimit-remaining-" .. kind] = "0"
    headers["x-ratelimit-reset-" .. kind] = integer(seen.reset)
    local why = limit.held and "too little left" or "used up"
    what = format(" on %s per %s: limit %s, %s", limit.what or kind, limit.unit, integer(limit.quantity), why)
  end
  headers["retry-after"] = integer(wait)
  headers["retry-after-ms"] = integer(wait * 1000)
  headers["content-type"] = "application/json"
  if wait > 60 then
    headers["x-should-retry"] = "false"
  end
  local message = format("Rate limit reached for %s%s. Please try again in %ss.", model, what, integer(wait))
  return headers, errors.body(api, "refused", message, { type = kind, wait = wait })
end

-- Gives the proxy's refusal its headers; returns its body.
function limits.refuse(headers, limit, seen, model, api)
  local set, body = limits.refusal(limit, seen, model, api)
  for name, value in pairs(set) do
    header.set(headers, name, value)
  end
  return body
end

return limits
