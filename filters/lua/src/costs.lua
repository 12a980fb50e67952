-- costs: weighted sums of an answer's tokens. Weights are whole numbers of 1/scale, so that a sum is exact.

local ceil, max, min, type = math.ceil, math.max, math.min, type
local clamp = usage.clamp

local costs = {}

local function number(value, default)
  return type(value) == "number" and value >= 0 and value or default
end

-- What the route says, fit to be used. A kind without a weight costs what the kind does that it is part of.
function costs.new(list)
  local all = {}
  for i = 1, #list do
    local given = list[i]
    local scale = max(1, number(given.scale, 1))
    local prompt, completion = number(given.prompt, scale), number(given.completion, scale)
    all[i] = {
      key = given.key,
      scale = scale,
      prompt = prompt,
      cached = number(given.cachedPrompt, prompt),
      cache_write = number(given.cacheWrite, prompt),
      completion = completion,
      reasoning = number(given.reasoning, completion),
    }
  end
  return all
end

-- What these numbers cost, rounded up. Parts never exceed what they are parts of. A total alone is what APIs
-- without completion report (embeddings, reranking), so it is the prompt.
function costs.sum(weights, now)
  local prompt, completion = now.prompt, now.completion
  if prompt == 0 and completion == 0 then
    prompt = now.total
  end
  local cached = min(now.cached, prompt)
  local cache_write = min(now.cache_write, prompt - cached)
  local reasoning = min(now.reasoning, completion)
  local sum = (prompt - cached - cache_write) * weights.prompt
    + cached * weights.cached
    + cache_write * weights.cache_write
    + (completion - reasoning) * weights.completion
    + reasoning * weights.reasoning
  -- Every step below 2^53 is exact, and with six decimals what is above it is above the clamp by far.
  return clamp(ceil(sum / weights.scale))
end

return costs
