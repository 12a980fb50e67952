-- path: what the path of a request says: how it ends, which tells the API, and the model where the API puts
-- it there. Read as upstreams read it: percent-decoded once, each segment on its own.

local byte, char, find, gsub, lower = string.byte, string.char, string.find, string.gsub, string.lower
local ipairs, sub, tonumber = ipairs, string.sub, tonumber

local path = {}

-- Where APIs put the model, in lower case: a name that no API takes for another counts in any case.
local MODELS = {
  "^.*/openai/deployments/()[^/]+()/",
  "^.*/models/()[^/]+():%a+$",
  "^.*/tunedmodels/()[^/]+():%a+$",
  "^.*/model/()[^/]+()/[^/]+$",
}

-- The commonest paths need no reading.
local READ = {
  ["/v1/chat/completions"] = true,
  ["/v1/completions"] = true,
  ["/v1/embeddings"] = true,
  ["/v1/messages"] = true,
  ["/v1/responses"] = true,
}

-- A slash that stood as %2F divides no segments: it is \1, a byte that no model may have, until they are
-- told apart. One that stood there as %01 gets out of the way.
local STAND_IN = { ["/"] = "\1", ["\1"] = "\2" }

local function decode(hex)
  local c = char(tonumber(hex, 16))
  return STAND_IN[c] or c
end

-- Of several models the last counts: what stands before it is a prefix that some gateway takes away.
local function model(whole, small)
  if not find(small, "odel", 1, true) and not find(small, "/deployments/", 1, true) then
    return nil
  end
  local from, to = 0, nil
  for _, pattern in ipairs(MODELS) do
    local _, _, first, stop = find(small, pattern)
    if first and first > from then
      from, to = first, stop
    end
  end
  return to and sub(whole, from, to - 1)
end

-- The path decoded, in lower case, without query and closing slash; and the model, or nil.
function path.read(raw)
  if READ[raw] then
    return raw, nil
  end
  local whole = raw
  if find(raw, "[?#%%A-Z]") or find(raw, "//", 1, true) then
    whole = gsub(raw, "[?#].*$", "")
    whole = gsub(whole, "%%(%x%x)", decode)
    whole = gsub(whole, "//+", "/")
  end
  local last = byte(whole, #whole)
  if last == 47 or last == 1 then
    whole = sub(whole, 1, -2)
  end
  local small = lower(whole)
  local named = model(whole, small)
  if find(whole, "\1", 1, true) then
    -- Some upstreams take a %2F for a slash after all.
    whole, small = gsub(whole, "\1", "/"), gsub(small, "\1", "/")
    named = named and gsub(named, "\1", "/") or model(whole, small)
  end
  return small, named
end

return path
