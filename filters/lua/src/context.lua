-- context: what the route tells the filter. Envoy hands it over as nested tables; anything else, or nothing,
-- means the defaults.

local floor, type = math.floor, type

local MODEL_HEADER = "x-ai-gateway-llm-model-name"
-- What a route lets the proxy hold of a request unless it says otherwise.
local BODY_LIMIT = 4194304
-- Shared by all streams: nobody may write into it.
local NOTHING = {}

local context = {}

-- What a route without a context says.
local SILENT = {
  get = function()
    return nil
  end,
}

local function context_of(handle)
  return handle:filterContext() or SILENT
end

local function list(value)
  return type(value) == "table" and value or NOTHING
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

-- A way to the rate limit service and what it counts there; nil without one.
local function calls(all, name)
  local route = all:get(name)
  return type(route) == "table" and type(route.limits) == "table" and route or nil
end

local function request(all)
  local limit, most = all:get("bodyLimit"), all:get("maxTokens")
  return {
    model_header = word(all:get("modelHeader")) or MODEL_HEADER,
    defaults = list(all:get("defaults")),
    metadata = with(all:get("metadata"), "header"),
    identity = word(all:get("identity")),
    backend_header = word(all:get("backendHeader")),
    costs = with(all:get("costs"), "key"),
    holds = with(all:get("holds"), "paid"),
    max_tokens = type(most) == "number" and most >= 1 and floor(most) or nil,
    body_limit = type(limit) == "number" and limit >= 0 and limit or BODY_LIMIT,
    settle = calls(all, "settle"),
    prepay = calls(all, "prepay"),
    -- Of the request, once it is located.
    ends = nil,
    in_path = nil,
    api = nil,
  }
end

-- What a request needs, read at once: `model_header`; `defaults`, the headers that limits select on and what
-- each says when the client says nothing; `metadata`, headers to set from what other filters found out;
-- `identity`, the header without which nobody is served; `backend_header`, where the model chooses the
-- backend; `costs`, weighted sums; `holds`, the limits that hold what a request may take (paid, due, refund,
-- key, scale, prompt, completion); `max_tokens`, the most that an answer may have (nil: as many as the client
-- asks for); `body_limit`, how many bytes of a body may be held; `settle`, how the filter charges an answer
-- itself (cluster, domain, timeoutMs, headers, limits: due, key, entries, match); `prepay`, how it admits
-- requests itself (header, cluster, domain, timeoutMs, limits: check, of, paid, due, key, entries, match).
function context.request(handle)
  return request(context_of(handle))
end

-- The same for a route that says nothing.
function context.none()
  return request(SILENT)
end

-- The backends in the order of the policy: name, models.
function context.backends(handle)
  return with(context_of(handle):get("backends"), "name")
end

-- The limits of the route: reported, window, kind, quantity, unit.
function context.limits(handle)
  return list(context_of(handle):get("limits"))
end

-- May usage be asked for on a client's behalf?
function context.forces(handle)
  return list(context_of(handle):get("usage")).includeUsage ~= "Keep"
end

-- What an answer needs, read at once: `usage`, what happens without a report (onMissing, fixedTokens,
-- onDisconnect; every one is there); `costs`, the weighted sums to make; `holds`; `settle`; `dues`, limits of
-- which something may be paid before the stream is done.
function context.answer(handle)
  local all = context_of(handle)
  local given, weighted = list(all:get("usage")), with(all:get("costs"), "key")
  local settle = calls(all, "settle")
  local owing = settle or calls(all, "prepay")
  local fixed = given.fixedTokens
  return {
    usage = {
      onMissing = given.onMissing or "Estimate",
      fixedTokens = type(fixed) == "number" and fixed >= 0 and floor(fixed) or 0,
      onDisconnect = given.onDisconnect or "Charge",
    },
    costs = weighted[1] and costs.new(weighted) or NOTHING,
    holds = with(all:get("holds"), "paid"),
    settle = settle,
    dues = owing and owing.limits or NOTHING,
  }
end

return context
