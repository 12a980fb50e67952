-- prepaid: admits a request itself and books its prompt at once (`admission.mode: PrepaidPrompt`), so that
-- the prompts of requests under way count for those that come later.
--
-- The proxy's own check would find the prompt in the counter and might refuse the very request that paid for
-- it. So this filter makes the same call, and an admitted request carries a header that no rule matches. The
-- route takes it off behind the check, so that the proxy charges the rest when the stream is done. Where the
-- service does not answer, the header is missing and the proxy asks, as it does for every other policy.

local prepaid = {}

local PREPAID = "yes"

-- Without its header a request is checked, so no client may send it.
function prepaid.cover(headers, route)
  headers:remove(route.header)
end

-- The check, of every limit that applies; nil when none does.
function prepaid.prepare(handle, route)
  local headers, charges = handle:headers(), {}
  local function said(name)
    return headers:get(name)
  end
  for i = 1, #route.limits do
    local limit = route.limits[i]
    local named = counters.entries(limit, said)
    if named then
      charges[#charges + 1] = { limit = limit, hits = limit.check, entries = named }
    end
  end
  return charges[1] and { route = route, charges = charges }
end

-- What `httpCall` takes to make the charges of a call.
function prepaid.book(call)
  return rls.call(call.route, call.charges, call.route.timeoutMs)
end

-- Of two limits the one that the client is told of: one that refuses, else the one with less left.
local function tighter(status, other)
  if not other or status.over ~= other.over then
    return not other or status.over
  end
  return status.left < other.left
end

-- After the check: may the request go on? nil when the service did not say. The limit that the client is to
-- be told of is in `told`.
function prepaid.judge(call, headers, body)
  local statuses = rls.statuses(headers, body, #call.charges)
  if not statuses then
    return nil
  end
  local told
  for i = 1, #statuses do
    local status, charge = statuses[i], call.charges[i]
    charge.known = status and true
    if status and tighter(status, told) then
      status.of, told = charge.limit.of, status
    end
  end
  call.told = told
  return not (told and told.over)
end

-- What a request gets that does not go on, as `headers` and a `body`. `list`: the limits of the route.
function prepaid.refusal(list, handle, call, api)
  local told = call.told
  local headers, body = limits.refusal(list[told.of], told, meter.get(handle).model or "unknown", api)
  headers[":status"] = "429"
  return { headers = headers, body = body }
end

-- What a prompt of so many tokens costs by a limit.
local function price(limit, tokens, sums)
  if limit.key == "completion_tokens" then
    return 0
  end
  for i = 1, #sums do
    if sums[i].key == limit.key then
      return costs.sum(sums[i], {
        prompt = tokens,
        completion = 0,
        total = tokens,
        cached = 0,
        cache_write = 0,
        reasoning = 0,
      })
    end
  end
  return tokens
end

-- For a request that goes on: what the answer will say, and the call that books its prompt; nil when nothing
-- is booked.
function prepaid.admit(handle, call, sums)
  local known, route, told = meter.get(handle), call.route, call.told
  header.set(handle:headers(), route.header, PREPAID)
  if told then
    meter.set(handle, "told_of", told.of)
    meter.set(handle, "told_left", told.left)
    meter.set(handle, "told_reset", told.reset)
  end
  local tokens = not known.unestimated and known.prompt_estimate or 0
  local charges = {}
  for i = 1, #call.charges do
    local charge = call.charges[i]
    local paid = charge.known and charge.limit.paid
    local hits = paid and price(charge.limit, tokens, sums) or 0
    if hits > 0 then
      charges[#charges + 1] = { limit = charge.limit, hits = hits, entries = charge.entries }
    end
  end
  return charges[1] and { route = route, charges = charges }
end

-- After the booking: notes what is paid. Without an answer nothing is, and the whole is charged at the end.
function prepaid.note(handle, call, headers, body)
  local statuses = rls.statuses(headers, body, #call.charges) or {}
  for i = 1, #statuses do
    if statuses[i] then
      meter.set(handle, call.charges[i].limit.paid, call.charges[i].hits)
    end
  end
end

return prepaid
