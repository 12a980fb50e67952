-- meter: what an answer costs so far, and the dynamic metadata that says so. Estimates (DESIGN 4.3) stand
-- until usage is reported and never replace it.

local ceil = math.ceil
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
  out:set(NAMESPACE, "reasoning_tokens", 0)
  out:set(NAMESPACE, "no_cost", 0)
  out:set(NAMESPACE, "usage_source", "none")
  out:set(NAMESPACE, "model", "unknown")
end

local function delta(self)
  self.deltas = self.deltas + 1
end

local function report(self, reported)
  self.reported = reported
end

local function put(self, out, key, value)
  if self.written[key] ~= value then
    out:set(NAMESPACE, key, value)
    self.written[key] = value
  end
end

-- Brings the metadata up to date.
local function write(self, handle)
  local now = self.reported
  if now and now == self.latest then
    return
  end
  self.latest = now
  local out = metadata(handle)
  if now then
    put(self, out, "cached_tokens", now.cached)
    put(self, out, "reasoning_tokens", now.reasoning)
    put(self, out, "prompt_tokens", now.prompt)
    put(self, out, "completion_tokens", now.completion)
    put(self, out, "total_tokens", now.total)
    put(self, out, "usage_source", "reported")
  else
    local completion = clamp(self.deltas + ceil(self.bytes / 4))
    put(self, out, "prompt_tokens", self.prompt)
    put(self, out, "completion_tokens", completion)
    put(self, out, "total_tokens", clamp(self.prompt + completion))
    put(self, out, "usage_source", "estimated")
  end
end

-- A meter for one answer to a prompt of about `prompt` tokens.
function meter.new(prompt)
  return {
    prompt = prompt,
    deltas = 0, -- streamed, one token each
    bytes = 0, -- of an answer that is no stream, a quarter of a token each
    reported = nil,
    latest = nil, -- the report that the metadata holds
    written = {},
    delta = delta,
    report = report,
    write = write,
  }
end

return meter
