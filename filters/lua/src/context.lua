-- context: what the route tells the filter. Envoy hands it over as nested tables; anything else, or nothing,
-- means the defaults.

local type = type

local MODEL_HEADER = "x-ai-gateway-llm-model-name"

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

return context
