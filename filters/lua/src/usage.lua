-- usage: the numbers of one usage object, by the rules of the wire formats.

local byte, ceil, find, tonumber = string.byte, math.ceil, string.find, tonumber
local match = string.match
local names, spans = json.names, json.spans

-- Envoy drops a hits_addend above this, and then nothing is charged.
local MAX_CHARGE = 1000000000

-- One row per shape; the first that has a number counts. The members of a list are added up; of `cached` the
-- first that is there counts. "a.b" is the member b of the object a.
local ROWS = {
  { -- OpenAI chat, completions, embeddings; Azure
    prompt = { "prompt_tokens" },
    completion = { "completion_tokens" },
    total = "total_tokens",
    cached = { "prompt_tokens_details.cached_tokens" },
    reasoning = "completion_tokens_details.reasoning_tokens",
  },
  { -- OpenAI responses, whose cached tokens are part of the input; Anthropic, whose are not; Cohere
    prompt = { "input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens" },
    completion = { "output_tokens" },
    total = "total_tokens",
    cached = { "cache_read_input_tokens", "input_tokens_details.cached_tokens" },
    cache_write = "cache_creation_input_tokens",
    reasoning = "output_tokens_details.reasoning_tokens",
  },
  { -- Gemini
    prompt = { "promptTokenCount" },
    completion = { "candidatesTokenCount", "thoughtsTokenCount" },
    total = "totalTokenCount",
    cached = { "cachedContentTokenCount" },
    reasoning = "thoughtsTokenCount",
  },
  { -- Bedrock Converse
    prompt = { "inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens" },
    completion = { "outputTokens" },
    total = "totalTokens",
    cached = { "cacheReadInputTokens" },
    cache_write = "cacheWriteInputTokens",
  },
  { -- Ollama, at the top level
    prompt = { "prompt_eval_count" },
    completion = { "eval_count" },
    cached = {},
  },
}
-- Every member that a row names, and by outer name the inner one.
local FIELDS, INNER = {}, {}

local function field(path)
  local outer, inner = match(path, "^([^.]+)%.?(.*)$")
  if inner ~= "" then
    INNER[outer] = { names = names(inner), path = path }
  end
  FIELDS[#FIELDS + 1] = outer
  FIELDS[outer] = true
end

local function fields_of(list)
  for i = 1, #list do
    field(list[i])
  end
end

for i = 1, #ROWS do
  local row = ROWS[i]
  fields_of(row.prompt)
  fields_of(row.completion)
  fields_of(row.cached)
  fields_of({ row.reasoning })
  fields_of({ row.total })
end
-- Where Cohere keeps the numbers, in the order in which they are believed.
fields_of({ "tokens", "billed_units" })

local usage = {}

local function clamp(value)
  return value < MAX_CHARGE and value or MAX_CHARGE
end
usage.clamp = clamp

-- What a number of JSON is of which LuaJIT makes none: one with an exponent of seven digits.
local function beyond(raw)
  if find(raw, "[eE]%-") or not find(raw, "^-?[0.]*[1-9]") then
    return 0
  end
  return byte(raw) == 45 and -1 or MAX_CHARGE
end

-- A number that is not negative, rounded up to a whole one; nil for anything else.
local function number(body, found, name)
  local from = found.from[name]
  if not from or not find(body, "^%d", from) and not find(body, "^%-0", from) then
    return nil
  end
  local raw = json.raw(body, found, name)
  local value = tonumber(raw) or beyond(raw)
  -- "-0" is zero, "-0.5" is not.
  if value < 0 then
    return nil
  end
  return ceil(clamp(value)) + 0
end

local function sum(fields, list)
  local all
  for i = 1, #list do
    local one = fields[list[i]]
    all = one and (all or 0) + one or all
  end
  return all
end

-- The first row that has one of `prompt` and `completion`, else the first that has a total.
local function row_of(fields)
  for i = 1, #ROWS do
    if sum(fields, ROWS[i].prompt) or sum(fields, ROWS[i].completion) then
      return ROWS[i]
    end
  end
  for i = 1, #ROWS do
    if fields[ROWS[i].total or ""] then
      return ROWS[i]
    end
  end
  return nil
end

-- Room that is used again and again; no yield comes between.
local found, details = spans(), spans()

-- The numbers of the object at `at`, by the names of the rows; nil without any.
local function flat(body, at)
  if not json.members(body, at, FIELDS, found) then
    return nil
  end
  -- Room for the commonest: a table that grows is made anew.
  local fields = { prompt_tokens = nil, completion_tokens = nil, total_tokens = nil }
  for i = 1, found.count do
    local name = found[i]
    local inner = INNER[name]
    if not inner then
      fields[name] = number(body, found, name)
    elseif json.members(body, found.from[name], inner.names, details) then
      fields[inner.path] = number(body, details, inner.names[1])
    end
  end
  return row_of(fields) and fields
end

-- The same, of what Cohere wraps as well. `wrapped`: of nothing else.
function usage.fields(body, at, wrapped)
  local fields = flat(body, at)
  if fields and not wrapped then
    return fields
  end
  local tokens, billed = found.from.tokens, found.from.billed_units
  return tokens and flat(body, tokens) or billed and flat(body, billed) or nil
end

local function first(fields, list)
  for i = 1, #list do
    if fields[list[i]] then
      return fields[list[i]]
    end
  end
  return 0
end

-- What these fields say: prompt, completion, total, cached, cache_write, reasoning; nil when nothing.
function usage.numbers(fields)
  local row = row_of(fields)
  if not row then
    return nil
  end
  local prompt = clamp(sum(fields, row.prompt) or 0)
  local completion = clamp(sum(fields, row.completion) or 0)
  return {
    prompt = prompt,
    completion = completion,
    total = fields[row.total or ""] or clamp(prompt + completion),
    cached = first(fields, row.cached),
    cache_write = fields[row.cache_write or ""] or 0,
    reasoning = fields[row.reasoning or ""] or 0,
  }
end

return usage
