-- settle: charges an answer before it ends (`admission.settle: Sync`). The proxy charges when a stream is
-- done, after its last byte, and the next request can be quicker. Here the filter itself has the service
-- charge, and the piece that completes the answer waits.
--
-- Each limit has a metadata key of its own, its `due`: what the proxy is to charge when the stream is done.
-- The filter looks whether the service has the limits, sends the charge and clears what is due in one step,
-- and looks until the counters show it. A charge that is sent is out of a client's reach: if the filter
-- waited for its answer, a client that leaves meanwhile would cancel it, or pay twice.

local max, sub, tonumber = math.max, string.sub, tonumber

local settle = {}

-- Of metadata keys that hold what a header of the request said: the answer cannot see it.
local BY = "by_"
-- Envoy breaks off an answer that has to wait with more bytes than its buffers take: 32 KiB in Envoy Gateway.
local MAX_HELD = 16384
-- Without so much of its end a client does not know an event for the last: `data: [DONE]` and two line ends.
local TAIL = 16
-- Nobody waits for the charge itself, so it may take long.
local BOOK_MS = 10000

-- On the request, once all headers are set. Without a `route` there is nothing to note.
function settle.note(handle, route)
  if not route then
    return
  end
  local headers = handle:headers()
  for i = 1, #route.headers do
    local name = route.headers[i]
    local value = headers:get(name)
    if value then
      meter.set(handle, BY .. name, value)
    end
  end
end

-- At the headers of an answer that `reader` reads. Without a `route` it is the proxy that charges.
function settle.open(route, reader, headers)
  if not route then
    return
  end
  reader.settle = route
  if reader.length and reader.length > MAX_HELD then
    -- Its last piece may be too long to wait. Without this a client knows the end when the stream ends, and
    -- that waits.
    headers:remove("content-length")
    reader.length = nil
  end
end

-- What of `sent` goes on now. The end of a piece that is too long to wait goes with the next one, if there
-- `may` be one to wait for.
function settle.part(reader, sent, may)
  if reader.tail then
    sent, reader.tail = reader.tail .. sent, nil
  end
  if may and reader.settle and reader.meter.ended and #sent > MAX_HELD then
    reader.tail = sub(sent, -TAIL)
    return sub(sent, 1, -TAIL - 1)
  end
  return sent
end

-- Is what was read so far all that a client reads? Where the filter charges, the piece that is to be sent has
-- to wait, too, and must be able to.
function settle.complete(reader, sent)
  local all = reader.length and reader.meter.bytes >= reader.length
  if not reader.settle then
    return all
  end
  return (all or reader.meter.ended) and not reader.tail and #sent <= MAX_HELD
end

-- What an answer is to be charged: `charges`; nil when there is nothing.
function settle.prepare(handle, route)
  local known, charges = meter.get(handle), {}
  local function said(name)
    return known[BY .. name]
  end
  for i = 1, #route.limits do
    local limit = route.limits[i]
    local hits = tonumber(known[limit.due]) or 0
    local named = hits > 0 and counters.entries(limit, said)
    if named then
      charges[#charges + 1] = { due = limit.due, hits = hits, entries = named }
    end
  end
  return charges[1] and { route = route, charges = charges }
end

-- What `httpCall` takes to look at the counters.
function settle.look(call)
  return rls.call(call.route, call.charges)
end

-- After the first look: makes the charges that the service has a limit for; says whether there are any. The
-- others, and all when it did not answer, stay due.
function settle.charge(handle, call, headers, body)
  local found, charges = rls.statuses(headers, body, #call.charges) or {}, {}
  for i = 1, #found do
    if found[i] then
      local charge = call.charges[i]
      charge.left = found[i].left
      charges[#charges + 1] = charge
    end
  end
  if not charges[1] then
    return false
  end
  call.charges = charges
  -- From here to the end of this function nothing can come between.
  local cluster, with, frame, wait = rls.call(call.route, charges, BOOK_MS)
  handle:httpCall(cluster, with, frame, wait, true)
  for i = 1, #charges do
    meter.set(handle, charges[i].due, 0)
  end
  return true
end

-- After a later look: do the counters show the charges? One with more left than before is in a new window.
function settle.seen(call, headers, body)
  local now = rls.statuses(headers, body, #call.charges) or {}
  for i = 1, #now do
    local charge, left = call.charges[i], now[i] and now[i].left
    if left and left > max(0, charge.left - charge.hits) and left <= charge.left then
      return false
    end
  end
  return true
end

return settle
