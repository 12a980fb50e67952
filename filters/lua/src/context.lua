-- context: what the route tells the filter, as the text of a JSON object: Envoy copies all that it hands over
-- for each request, and a text is one piece. Anything else, or nothing, means the defaults.

local floor, type = math.floor, type

local MODEL_HEADER = "x-ai-gateway-llm-model-name"
-- What a route lets the proxy hold of a request unless it says otherwise.
local BODY_LIMIT = 4194304
local NOTHING = {}
-- Contexts that are kept: more routes than a listener has, as a rule.
local MAX_KNOWN = 1024

local context = {}

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
  return type(value) == "string" and value ~= "" and value or nil
end

-- A way to the rate limit service and what it counts there; nil without one.
local function calls(all, name)
  local route = all[name]
  return type(route) == "table" and type(route.limits) == "table" and route or nil
end

-- How an answer is metered; every one is there.
local function usage_of(given)
  local fixed = given.fixedTokens
  return {
    onMissing = given.onMissing or "Estimate",
    fixedTokens = type(fixed) == "number" and fixed >= 0 and floor(fixed) or 0,
    onDisconnect = given.onDisconnect or "Charge",
  }
end

local function read(all)
  local limit, most, usage = all.bodyLimit, all.maxTokens, list(all.usage)
  local settle, prepay = calls(all, "settle"), calls(all, "prepay")
  local owing = settle or prepay
  return {
    model_header = word(all.modelHeader) or MODEL_HEADER,
    defaults = list(all.defaults),
    metadata = with(all.metadata, "header"),
    identity = word(all.identity),
    backend_header = word(all.backendHeader),
    backends = with(all.backends, "name"),
    limits = list(all.limits),
    usage = usage_of(usage),
    forces = usage.includeUsage ~= "Keep",
    costs = costs.new(with(all.costs, "key")),
    holds = with(all.holds, "paid"),
    max_tokens = type(most) == "number" and most >= 1 and floor(most) or nil,
    body_limit = type(limit) == "number" and limit >= 0 and limit or BODY_LIMIT,
    settle = settle,
    prepay = prepay,
    dues = owing and owing.limits or NOTHING,
  }
end

-- What was read, by its text. Policies come and go: when there is too much, all is forgotten and read again.
local known, count = {}, 0

-- What the route says: `model_header`; `defaults`, the headers that limits select on and what each says
-- when the client says nothing; `metadata`, headers to set from what other filters found out; `identity`,
-- the header without which nobody is served; `backend_header`, where the model chooses the backend, and
-- `backends` in the order of the policy (name, models); `limits` (reported, window, kind, quantity,
-- unit); `usage`, what happens without a report (onMissing, fixedTokens, onDisconnect); `forces`, may
-- usage be asked for on a client's behalf; `costs`, the weighted sums to make; `holds`, the limits that
-- hold what a request may take (paid, due, refund, key, scale, prompt, completion); `max_tokens`, the
-- most that an answer may have (nil: as many as the client asks for); `body_limit`, how many bytes of a
-- body may be held; `settle`, how the filter charges an answer itself (cluster, domain, timeoutMs,
-- headers, limits: due, key, entries, match); `prepay`, how it admits requests itself (header, cluster,
-- domain, timeoutMs, limits: check, of, paid, due, key, entries, match); `dues`, limits of which
-- something may be paid before the stream is done. Shared by all streams of the route: nobody may write
-- into it.
function context.of(handle)
  local all = handle:filterContext()
  local said = all and word(all:get("route")) or ""
  local route = known[said]
  if not route then
    if count == MAX_KNOWN then
      known, count = {}, 0
    end
    route = read(decode.object(said) or NOTHING)
    known[said], count = route, count + 1
  end
  return route
end

-- The same of a route that says nothing.
function context.none()
  return read(NOTHING)
end

return context
