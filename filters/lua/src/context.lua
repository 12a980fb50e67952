-- context: what the route tells the filter. Envoy hands it over as nested tables; anything else, or nothing,
-- means the defaults.

local floor, type = math.floor, type

local MODEL_HEADER = "x-ai-gateway-llm-model-name"
-- What a route lets the proxy hold of a request unless it says otherwise.
local BODY_LIMIT = 4194304
-- Shared by all streams: nobody may write into it.
local NOTHING = {}

local context = {}

local function get(handle, key)
  local all = handle:filterContext()
  return all and all:get(key)
end

local function list(handle, key)
  local value = get(handle, key)
  return type(value) == "table" and value or {}
end

-- Members of `given` that are tables and have a text for `name`.
local function with(given, name)
  if type(given) ~= "table" then
    return NOTHING
  end
  local out = {}
  for i = 1, #given do
    local one = given[i]
    if type(one) == "table" and type(one[name]) == "string" then
      out[#out + 1] = one
    end
  end
  return out
end

local function word(value)
  -- EG's validator answers every question with one made-up word.
  return type(value) == "string" and value ~= "" and value or nil
end

-- What a request needs, read at once: `model_header`; `defaults`, the headers that limits select on and what
-- each says when the client says nothing; `metadata`, headers to set from what other filters found out;
-- `identity`, the header without which nobody is served; `backend_header`, where the model chooses the
-- backend; `costs`, weighted sums; `body_limit`, how many bytes of a body may be held.
function context.request(handle)
  local all = handle:filterContext()
  if not all then
    return context.none()
  end
  local defaults, limit = all:get("defaults"), all:get("bodyLimit")
  return {
    model_header = word(all:get("modelHeader")) or MODEL_HEADER,
    defaults = type(defaults) == "table" and defaults or NOTHING,
    metadata = with(all:get("metadata"), "header"),
    identity = word(all:get("identity")),
    backend_header = word(all:get("backendHeader")),
    costs = with(all:get("costs"), "key"),
    body_limit = type(limit) == "number" and limit >= 0 and limit or BODY_LIMIT,
  }
end

-- The same for a route that says nothing.
function context.none()
  return {
    model_header = MODEL_HEADER,
    defaults = NOTHING,
    metadata = NOTHING,
    costs = NOTHING,
    body_limit = BODY_LIMIT,
  }
end

-- The backends in the order of the policy: name, models.
function context.backends(handle)
  return with(get(handle, "backends"), "name")
end

-- The weighted sums to make of an answer's tokens.
function context.costs(handle)
  local given = with(get(handle, "costs"), "key")
  return given[1] and costs.new(given) or NOTHING
end

-- The limits of the route: reported, window, kind, quantity, unit.
function context.limits(handle)
  return list(handle, "limits")
end

-- How the filter charges an answer itself: cluster, domain, timeoutMs, headers, limits (due, key, entries,
-- match). nil: it does not.
function context.settle(handle)
  local route = get(handle, "settle")
  return type(route) == "table" and type(route.limits) == "table" and route or nil
end

-- May usage be asked for on a client's behalf?
function context.forces(handle)
  return list(handle, "usage").includeUsage ~= "Keep"
end

-- The most tokens that an answer may have; nil: as many as the client asks for.
function context.max_tokens(handle)
  local most = get(handle, "maxTokens")
  return type(most) == "number" and most >= 1 and floor(most) or nil
end

-- What happens without usage: onMissing, fixedTokens, onDisconnect; every one is there.
function context.usage(handle)
  local given = list(handle, "usage")
  local fixed = given.fixedTokens
  return {
    onMissing = given.onMissing or "Estimate",
    fixedTokens = type(fixed) == "number" and fixed >= 0 and floor(fixed) or 0,
    onDisconnect = given.onDisconnect or "Charge",
  }
end

return context
