-- errors: answers that the proxy gives itself, in the shape of the API that was called. Clients read them
-- with their SDK, which knows no other.

local find, format, lower, match = string.find, string.format, string.lower, string.match
local quote = text.quote

-- What each API calls what went wrong. OpenAI has a type and a code, Anthropic a type, Gemini a status.
local KINDS = {
  refused = { 429, "tokens", "rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED" },
  unidentified = {
    401,
    "invalid_request_error",
    "invalid_api_key",
    "authentication_error",
    "UNAUTHENTICATED",
  },
  forbidden = { 403, "invalid_request_error", "forbidden", "permission_error", "PERMISSION_DENIED" },
  no_model = { 404, "invalid_request_error", "model_not_found", "not_found_error", "NOT_FOUND" },
  unavailable = { 503, "server_error", "service_unavailable", "api_error", "UNAVAILABLE" },
}
local DENIALS = { [401] = "unidentified", [403] = "forbidden" }
local AWAY = { [500] = true, [503] = true }

local SHAPES = {}

function SHAPES.openai(kind, message, of)
  return format(
    '{"error":{"message":%s,"type":"%s","param":null,"code":"%s"}}',
    message,
    of.type or kind[2],
    kind[3]
  )
end

function SHAPES.anthropic(kind, message)
  return format('{"type":"error","error":{"type":"%s","message":%s}}', kind[4], message)
end

function SHAPES.gemini(kind, message, of)
  local details = ""
  if of.wait then
    details = format(
      ',"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"%.0fs"}]',
      of.wait
    )
  end
  return format(
    '{"error":{"code":%d,"message":%s,"status":"%s"%s}}',
    of.status or kind[1],
    message,
    kind[5],
    details
  )
end

-- For a request that the filter never saw: what each API's clients look for is where they look for it.
function SHAPES.any(kind, message)
  return format(
    '{"type":"error","error":{"type":"%s","message":%s,"param":null,"code":"%s","status":"%s"}}',
    kind[4],
    message,
    kind[3],
    kind[5]
  )
end

local errors = {}

-- The body. `api` is openai, anthropic, gemini or any; nil and all else count as openai. `kind` is refused,
-- unidentified, forbidden, no_model or unavailable; `message` has no control characters. `of` may say more:
-- the OpenAI `type`, the HTTP `status`, the seconds to `wait`.
function errors.body(api, kind, message, of)
  local shape = SHAPES[api or "openai"] or SHAPES.openai
  return shape(KINDS[kind], quote(message), of or {})
end

-- Has the answer none of what every answer of a server has one of? Then the proxy wrote it: it adds a date
-- later.
function errors.bare(headers)
  return not headers:get("content-length") and not headers:get("content-type") and not headers:get("date")
end

-- Did a filter before this one turn the request away? Only then has this one not seen the request. An
-- authorization service may write its own body, and that stays.
function errors.denied(headers, status, asked)
  if asked or not DENIALS[status] then
    return nil
  end
  local kind = lower(headers:get("content-type") or "text/plain")
  return find(kind, "text/plain", 1, true) == 1 and DENIALS[status] or nil
end

-- Could the proxy not ask its rate limit service? What it answers then is bare; and had the service
-- answered, there would be `seen`.
function errors.away(headers, status, seen)
  return AWAY[status] and not seen and errors.bare(headers) and "unavailable" or nil
end

-- The body for who was turned away, of whose request nobody knows the API. `said` is the proxy's own body.
function errors.deny(headers, kind, said)
  local words = match(said, "^[ -~]+$")
  header.set(headers, "content-type", "application/json")
  return errors.body("any", kind, words or "The request was turned away.")
end

-- The body for who has to come back when the rate limit service is there again.
function errors.postpone(headers, api, status)
  header.set(headers, "content-type", "application/json")
  header.set(headers, "retry-after", "1")
  local message = "The rate limit cannot be checked right now. Please try again in 1s."
  return errors.body(api, "unavailable", message, { status = status })
end

return errors
