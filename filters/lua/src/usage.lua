-- usage: the numbers of one usage object, by the rules of the wire formats.

local ceil, find, sub, tonumber = math.ceil, string.find, string.sub, tonumber
local names, spans = json.names, json.spans

-- Envoy drops a hits_addend above this, and then nothing is charged.
local MAX_CHARGE = 1000000000

local FIELDS = names(
  "prompt_tokens",
  "completion_tokens",
  "total_tokens",
  "prompt_tokens_details",
  "completion_tokens_details"
)
local CACHED = names("cached_tokens")
local REASONING = names("reasoning_tokens")

local usage = {}

function usage.clamp(value)
  return value < MAX_CHARGE and value or MAX_CHARGE
end

-- A number that is not negative, rounded up to a whole one; nil for anything else.
local function number(body, found, name)
  local from = found.from[name]
  if not from or not find(body, "^%d", from) and not find(body, "^%-0", from) then
    return nil
  end
  local value = tonumber(sub(body, from, found.to[name] - 1))
  -- "-0" is zero, "-0.5" is not.
  if not value or value < 0 then
    return nil
  end
  return ceil(usage.clamp(value)) + 0
end

local function detail(body, found, name, wanted)
  local from = found.from[name]
  local inner = spans()
  if from and json.members(body, from, wanted, inner) then
    return number(body, inner, wanted[1])
  end
  return nil
end

-- The numbers of the usage object at `at`, or nil when it has none of the three that count.
function usage.read(body, at)
  local found = spans()
  if not json.members(body, at, FIELDS, found) then
    return nil
  end
  local prompt = number(body, found, "prompt_tokens")
  local completion = number(body, found, "completion_tokens")
  local total = number(body, found, "total_tokens")
  if not (prompt or completion or total) then
    return nil
  end
  prompt, completion = prompt or 0, completion or 0
  return {
    prompt = prompt,
    completion = completion,
    total = total or usage.clamp(prompt + completion),
    cached = detail(body, found, "prompt_tokens_details", CACHED) or 0,
    reasoning = detail(body, found, "completion_tokens_details", REASONING) or 0,
  }
end

return usage
