-- driver: runs many cases in one call, so that Python and Lua meet once for hundreds of them. Cases and
-- results are flat lists, read with a cursor; what each holds is said in engine.py.

local concat, format, tostring, type = table.concat, string.format, tostring, type

local function say(keys, metadata)
  local parts = {}
  for i = 1, #keys do
    local value = metadata[keys[i]]
    if value ~= nil then
      parts[#parts + 1] = keys[i]
        .. "="
        .. (type(value) == "number" and format("%.17g", value) or tostring(value))
    end
  end
  return concat(parts, "\n")
end

return function(fake, keys, contexts, on_request, on_response)
  return function(list)
    local at, out = 1, {}
    local function take()
      at = at + 1
      return list[at - 1]
    end
    while list[at] do
      local run = take() == "request" and on_request or on_response
      local stream = fake.stream(contexts[take()])
      local metadata, headers, chunks = {}, {}, {}
      for _ = 1, take() do
        local key = take()
        metadata[key] = take()
      end
      stream.metadata.llmroute = metadata
      for i = 1, take() do
        headers[i] = { take(), take() }
      end
      for i = 1, take() do
        chunks[i] = take()
      end
      local watched, piece, middle = take(), 0, ""
      local sent = fake.run(stream, run, headers, chunks, false, function(now)
        piece = piece + 1
        if piece == watched then
          middle = say(keys, now)
        end
      end)
      local known, base = {}, #out
      for i = 1, #headers do
        known[i] = headers[i][1] .. ": " .. headers[i][2]
      end
      out[base + 1], out[base + 2], out[base + 3] = concat(sent), say(keys, metadata), middle
      out[base + 4], out[base + 5] = concat(known, "\n"), concat(stream.logs, "\n")
    end
    return out
  end
end
