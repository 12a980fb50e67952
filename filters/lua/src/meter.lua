-- meter: what an answer costs so far, and the dynamic metadata that says so. Estimates (DESIGN 4.3) stand
-- until usage is reported and never replace it.

local ceil, max, pairs = math.ceil, math.max, pairs
local clamp = usage.clamp

local NAMESPACE = "llmroute"

local meter = {}

-- Objects of the handle die at each yield, so the metadata object is fetched anew for every use.
local function metadata(handle)
  return handle:streamInfo():dynamicMetadata()
end

function meter.set(handle, key, value)
  metadata(handle):set(NAMESPACE, key, value)
end

-- What the metadata says; an empty table when it says nothing.
function meter.get(handle)
  local known = metadata(handle):get(NAMESPACE)
  return type(known) == "table" and known or {}
end

-- What is charged when nothing else gets a chance to say so.
function meter.default(handle)
  local out = metadata(handle)
  out:set(NAMESPACE, "total_tokens", 0)
  out:set(NAMESPACE, "prompt_tokens", 0)
  out:set(NAMESPACE, "completion_tokens", 0)
  out:set(NAMESPACE, "cached_tokens", 0)
  out:set(NAMESPACE, "cache_write_tokens", 0)
  out:set(NAMESPACE, "reasoning_tokens", 0)
  out:set(NAMESPACE, "no_cost", 0)
  out:set(NAMESPACE, "usage_source", "none")
  out:set(NAMESPACE, "model", "unknown")
  out:set(NAMESPACE, "api", "openai")
end

-- The same for weighted sums.
function meter.no_costs(handle, list)
  local out = metadata(handle)
  for i = 1, #list do
    out:set(NAMESPACE, list[i].key, 0)
  end
end

-- What the request asks for.
function meter.asked(handle, model, estimate)
  local out = metadata(handle)
  out:set(NAMESPACE, "model", model)
  out:set(NAMESPACE, "prompt_estimate", estimate)
end

-- One token of a stream: an answer that has one is one.
local function delta(self)
  self.deltas = self.deltas + 1
  self.streamed = true
end

-- An event of a shape that nobody knows, a quarter of a token per byte.
local function weigh(self, bytes)
  self.weight = self.weight + ceil(bytes / 4)
end

-- A first report, of the prompt; the last one overrides it field by field.
local function begin(self, fields)
  self.heard = self.heard + 1
  self.fields = fields
  self.base = usage.numbers(fields)
end

local function report(self, fields)
  self.heard = self.heard + 1
  local known = self.fields
  if known then
    for name, value in pairs(fields) do
      known[name] = value
    end
    fields = known
  end
  self.reported = usage.numbers(fields)
end

local function estimate(self)
  local base = self.base
  local seen = self.streamed and self.deltas + self.weight or ceil(self.bytes / 4)
  local prompt = base and base.prompt or self.prompt
  local completion = clamp(base and max(base.completion, seen) or seen)
  return {
    prompt = prompt,
    completion = completion,
    total = clamp(prompt + completion),
    cached = base and base.cached or 0,
    cache_write = base and base.cache_write or 0,
    reasoning = base and base.reasoning or 0,
    source = "estimated",
  }
end

local function fixed(tokens, source)
  return {
    prompt = tokens,
    completion = tokens,
    total = tokens,
    cost = tokens,
    cached = 0,
    cache_write = 0,
    reasoning = 0,
    source = source,
  }
end

local function put(self, out, key, value)
  if self.written[key] ~= value then
    out:set(NAMESPACE, key, value)
    self.written[key] = value
  end
end

-- What each limit is still to be charged beyond what it was on admission, or to be given back of that.
local function owe(self, out, limits)
  for i = 1, #limits do
    local limit = limits[i]
    local rest = (self.written[limit.key] or 0) - (tonumber(self.known[limit.paid]) or 0)
    if limit.due then
      put(self, out, limit.due, max(0, rest))
    end
    if limit.refund then
      put(self, out, limit.refund, max(0, -rest))
    end
  end
end

local function put_all(self, handle, now)
  local out = metadata(handle)
  put(self, out, "cached_tokens", now.cached)
  put(self, out, "cache_write_tokens", now.cache_write)
  put(self, out, "reasoning_tokens", now.reasoning)
  put(self, out, "prompt_tokens", now.prompt)
  put(self, out, "completion_tokens", now.completion)
  put(self, out, "total_tokens", now.total)
  put(self, out, "usage_source", now.source or "reported")
  for i = 1, #self.costs do
    local weights = self.costs[i]
    put(self, out, weights.key, now.cost or costs.sum(weights, now))
  end
  owe(self, out, self.holds)
  owe(self, out, self.dues)
end

-- Brings the metadata up to date, while the answer goes on.
local function write(self, handle)
  if self.policy.onDisconnect == "Free" or (self.reported and self.reported == self.latest) then
    return
  end
  self.latest = self.reported
  if self.reported then
    put_all(self, handle, self.reported)
  elseif not self.unestimated then
    put_all(self, handle, estimate(self))
  end
end

-- The same for a whole answer.
local function finish(self, handle)
  local policy, now = self.policy, self.reported
  if now and now == self.latest then
    -- The metadata says so already.
    return
  elseif not now then
    if self.unestimated or policy.onMissing == "Free" then
      now = fixed(0, "none")
    elseif policy.onMissing == "Fixed" then
      now = fixed(policy.fixedTokens, "fixed")
    else
      now = estimate(self)
    end
  end
  put_all(self, handle, now)
end

-- A meter for one answer to a request of which the metadata says `known`. What the `route` says is what
-- `context.of` gives.
function meter.new(route, known)
  return {
    policy = route.usage,
    costs = route.costs,
    known = known,
    holds = route.holds,
    dues = route.dues,
    prompt = tonumber(known.prompt_estimate) or 0,
    unestimated = known.unestimated,
    streamed = false, -- the answer is a stream of events
    deltas = 0, -- of a stream, one token each
    weight = 0, -- of its events of no known shape, in tokens
    bytes = 0, -- of the answer, a quarter of a token each when it is no stream
    heard = 0, -- reports
    ended = false, -- an event has come after which clients do not read on
    fields = nil, -- of the first report and what overrode them
    base = nil, -- the numbers of the first report
    reported = nil,
    latest = nil, -- the report that the metadata holds
    -- What `default` has set.
    written = {
      cached_tokens = 0,
      cache_write_tokens = 0,
      reasoning_tokens = 0,
      prompt_tokens = 0,
      completion_tokens = 0,
      total_tokens = 0,
      usage_source = "none",
    },
    delta = delta,
    weigh = weigh,
    begin = begin,
    report = report,
    write = write,
    finish = finish,
  }
end

return meter
