-- context: what the route tells the filter. Envoy hands it over as nested tables; anything else, or nothing,
-- means the defaults.

local floor, type = math.floor, type

local MODEL_HEADER = "x-ai-gateway-llm-model-name"
-- What a route lets the proxy hold of a request unless it says otherwise.
local BODY_LIMIT = 4194304

local context = {}

local function get(handle, key)
  local all = handle:filterContext()
  return all and all:get(key)
end

local function list(handle, key)
  local value = get(handle, key)
  return type(value) == "table" and value or {}
end

function context.model_header(handle)
  local name = get(handle, "modelHeader")
  -- EG's validator answers every question with one made-up word.
  return type(name) == "string" and name ~= "" and name or MODEL_HEADER
end

-- The limits of the route: reported, window, kind, quantity, unit.
function context.limits(handle)
  return list(handle, "limits")
end

-- The headers that limits select on, and what each says when the client says nothing.
function context.defaults(handle)
  return list(handle, "defaults")
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

-- How many bytes of a request body may be held.
function context.body_limit(handle)
  local limit = get(handle, "bodyLimit")
  return type(limit) == "number" and limit >= 0 and limit or BODY_LIMIT
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
