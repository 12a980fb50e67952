-- maxtokens: holds the answer that a body asks for to so many tokens, whatever the API calls it.

local byte, ceil, floor, format, max, sub =
  string.byte, math.ceil, math.floor, string.format, math.max, string.sub
local gsub, ipairs, tonumber = string.gsub, ipairs, tonumber

local raw, solid, value_end = json.raw, json.solid, json.value_end

local maxtokens = {}

-- One row for each API: what its path may end in (in lower case), the names of the field, of which the first
-- is set when there is none, the object that holds it by all its names (without one the body does), counts
-- of answers that share the tokens, and the least value that means what it says. With `batch` a list of
-- prompts has so many answers for each. A row without fields is an API that has no such field; a `mute` one
-- makes no tokens.
local APIS = {
  -- Ollama takes 0 for no end, here and at its own paths.
  {
    ends = { "/chat/completions" },
    fields = { "max_completion_tokens", "max_tokens" },
    counts = { "n" },
    least = 1,
  },
  {
    ends = { "/completions" },
    fields = { "max_tokens" },
    counts = { "n", "best_of" },
    least = 1,
    batch = true,
  },
  { ends = { "/responses" }, fields = { "max_output_tokens" } },
  { ends = { "/messages", "/v2/chat" }, fields = { "max_tokens" } },
  {
    ends = { ":generatecontent", ":streamgeneratecontent" },
    fields = { "maxOutputTokens", "max_output_tokens" },
    holders = { "generationConfig", "generation_config" },
    counts = { "candidateCount", "candidate_count" },
  },
  { ends = { "/converse", "/converse-stream" }, fields = { "maxTokens" }, holders = { "inferenceConfig" } },
  { ends = { "/api/chat", "/api/generate" }, fields = { "num_predict" }, holders = { "options" }, least = 1 },
  { ends = { "/embeddings", "/embed", ":embedcontent", ":batchembedcontents", "/rerank" }, mute = true },
  { ends = { "/count_tokens", ":counttokens" }, mute = true },
  { ends = { "/audio/speech", "/audio/transcriptions", "/audio/translations" } },
  -- Any other: what is there is held, nothing is set.
  {
    ends = { "" },
    fields = { "max_tokens", "max_completion_tokens", "max_output_tokens" },
    counts = { "n" },
    keep = true,
    batch = true,
  },
}

-- All that has to be looked for, in bodies and in holders.
local NAMES = {}
local NONE = {}

for _, row in ipairs(APIS) do
  row.counts = row.counts or NONE
  for _, list in ipairs({ row.fields or NONE, row.holders or NONE, row.counts }) do
    for _, name in ipairs(list) do
      NAMES[name] = true
    end
  end
end
maxtokens.names = NAMES

local function row_of(ends)
  for _, row in ipairs(APIS) do
    for _, suffix in ipairs(row.ends) do
      if sub(ends, #ends - #suffix + 1) == suffix then
        return row
      end
    end
  end
end

-- How many answers share the tokens, at least `least`. Some servers take a number in quotes.
local function sharers(body, spans, row, least)
  for _, name in ipairs(row.counts) do
    local value = raw(body, spans, name)
    local count = value and tonumber((gsub(value, '"', "")))
    -- NaN is no number.
    least = count and count == count and max(least, ceil(count)) or least
  end
  return least
end

-- How many prompts begin at `at`: of a list each text and each list of tokens. A list of tokens is one.
local function prompts(body, at)
  local count = 0
  if at and byte(body, at) == 91 then
    repeat
      at = solid(body, at + 1)
      local c = byte(body, at)
      if c == 34 or c == 91 or c == 123 then
        count = count + 1
      end
      -- An empty list has none.
      at = value_end(body, at)
      at = at and solid(body, at)
    until not at or byte(body, at) ~= 44
  end
  return max(1, count)
end

local function fits(value, least, most)
  local c = byte(value)
  local number = (c == 45 or (c > 47 and c < 58)) and tonumber(value)
  return number and number >= least and number <= most
end

-- Holds the fields of one object, which begins at `at`; when it has none the first is set. Gives how long an
-- answer may be: of several fields the longest, and no field says so on a path of no known API, nor does 0.
local function hold(list, body, at, spans, row, most)
  local there, longest = row.keep, 0
  for _, name in ipairs(row.fields) do
    local value = raw(body, spans, name)
    if value and not fits(value, row.least or 0, most) then
      edits.replace(list, spans.from[name], spans.to[name], format("%d", most))
      longest = most
    elseif value then
      longest = max(longest, tonumber(value))
    end
    there = there or value
  end
  if not there then
    edits.insert(list, body, at, format('"%s":%d', row.fields[1], most))
  end
  return (row.keep or longest < 1) and most or longest
end

-- The same for an API that has the field in an object: each that is there is held, what should be one and is
-- none gives way, and without any the body gets one. Gives how long all answers together may be.
local function hold_inner(list, body, start, found, row, most)
  local share, inner, there = 1, {}, false
  for i, name in ipairs(row.holders) do
    local from = found.from[name]
    there = there or from
    inner[i] = json.spans()
    if from and json.members(body, from, NAMES, inner[i]) then
      share = sharers(body, inner[i], row, share)
    end
  end
  most = max(1, floor(most / share))
  local longest = 0
  local object = format('{"%s":%d}', row.fields[1], most)
  for i, name in ipairs(row.holders) do
    local from = found.from[name]
    if from and byte(body, from) == 123 then
      longest = max(longest, hold(list, body, from, inner[i], row, most))
    elseif from then
      edits.replace(list, from, found.to[name], object)
      longest = most
    end
  end
  if not there then
    edits.insert(list, body, start, format('"%s":%s', row.holders[1], object))
    longest = most
  end
  return share * longest
end

-- Lists the changes to a body that hold the answer to `most` tokens. Its object begins at `start` and has the
-- members `found`: of `maxtokens.names`, and its prompt. How the path `ends` tells the API. Gives how many
-- tokens the answers together may have then.
function maxtokens.hold(list, body, start, found, ends, most)
  local row = row_of(ends)
  if row.holders then
    return hold_inner(list, body, start, found, row, most)
  elseif row.fields then
    local share = sharers(body, found, row, 1) * (row.batch and prompts(body, found.from.prompt) or 1)
    return share * hold(list, body, start, found, row, max(1, floor(most / share)))
  end
  return row.mute and 0 or most
end

return maxtokens
