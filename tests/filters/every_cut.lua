-- every_cut: one answer through the filter in two pieces, cut at every byte, without leaving Lua between.

local concat = table.concat

-- Gives nil, or the first cut at which something is wrong and what. `known` is the metadata that the
-- request left; `headers` the answer's; `expected` the metadata at the end, by key; `client` the bytes
-- that must arrive.
return function(fake, run, context, known, headers, body, client, expected)
  for at = 1, #body - 1 do
    local stream = fake.stream(context)
    local metadata, list = {}, {}
    for key, value in pairs(known) do
      metadata[key] = value
    end
    stream.metadata.llmroute = metadata
    for i, header in ipairs(headers) do
      list[i] = { header[1], header[2] }
    end
    local out = fake.run(stream, run, list, { body:sub(1, at), body:sub(at + 1) }, false)
    if concat(out) ~= client then
      return at, "bytes", concat(out)
    end
    for key, value in pairs(expected) do
      if metadata[key] ~= value then
        return at, key, metadata[key]
      end
    end
    if stream.logs[1] then
      return at, "log", stream.logs[1]
    end
  end
  return nil
end
