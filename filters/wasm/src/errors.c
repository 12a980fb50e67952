#include "errors.h"

// What each API calls what went wrong. OpenAI has a type and a code, Anthropic a type, Gemini a status.
static const struct {
  u32 status;
  Str type, code, anthropic, gemini;
} KINDS[] = {
    [REFUSED] = {429, S("tokens"), S("rate_limit_exceeded"), S("rate_limit_error"), S("RESOURCE_EXHAUSTED")},
    [UNIDENTIFIED] = {401, S("invalid_request_error"), S("invalid_api_key"), S("authentication_error"),
                      S("UNAUTHENTICATED")},
    [FORBIDDEN] = {403, S("invalid_request_error"), S("forbidden"), S("permission_error"), S("PERMISSION_DENIED")},
    [NO_MODEL] = {404, S("invalid_request_error"), S("model_not_found"), S("not_found_error"), S("NOT_FOUND")},
    [UNAVAILABLE] = {503, S("server_error"), S("service_unavailable"), S("api_error"), S("UNAVAILABLE")},
};

Str error_body(Str api, Kind kind, Str message, Details of) {
  Buffer quoted = SCRATCH;
  add_quoted(&quoted, message);
  Str text = all(&quoted);
  if (same(api, S("anthropic"))) {
    return JOIN(S("{\"type\":\"error\",\"error\":{\"type\":\""), KINDS[kind].anthropic, S("\",\"message\":"), text,
                S("}}"));
  }
  if (same(api, S("gemini"))) {
    Str details = {0};
    if (of.waits) {
      details = JOIN(S(",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\""),
                     decimal(of.wait), S("s\"}]"));
    }
    return JOIN(S("{\"error\":{\"code\":"), decimal(of.status ? of.status : KINDS[kind].status), S(",\"message\":"),
                text, S(",\"status\":\""), KINDS[kind].gemini, S("\""), details, S("}}"));
  }
  if (same(api, S("any"))) {
    // For a request that the filter never saw: what each API's clients look for is where they look for it.
    return JOIN(S("{\"type\":\"error\",\"error\":{\"type\":\""), KINDS[kind].anthropic, S("\",\"message\":"), text,
                S(",\"param\":null,\"code\":\""), KINDS[kind].code, S("\",\"status\":\""), KINDS[kind].gemini,
                S("\"}}"));
  }
  return JOIN(S("{\"error\":{\"message\":"), text, S(",\"type\":\""), of.type.size ? of.type : KINDS[kind].type,
              S("\",\"param\":null,\"code\":\""), KINDS[kind].code, S("\"}}"));
}

bool error_bare(const Headers *headers) {
  return !header_there(headers, S("content-length")) && !header_there(headers, S("content-type")) &&
         !header_there(headers, S("date"));
}

Kind error_denied(const Headers *headers, u64 status, bool asked) {
  if (asked || (status != 401 && status != 403)) return NO_KIND;
  Str kind;
  if (header_get(headers, S("content-type"), &kind) && !starts(lowered(kind), S("text/plain"))) return NO_KIND;
  return status == 401 ? UNIDENTIFIED : FORBIDDEN;
}

Kind error_away(const Headers *headers, u64 status, bool seen) {
  return (status == 500 || status == 503) && !seen && error_bare(headers) ? UNAVAILABLE : NO_KIND;
}

Str error_deny(Headers *headers, Kind kind, Str said) {
  bool printable = said.size > 0;
  for (u32 i = 0; i < said.size; i++) printable = printable && said.at[i] >= ' ' && said.at[i] <= '~';
  header_set(headers, S("content-type"), S("application/json"));
  return error_body(S("any"), kind, printable ? said : S("The request was turned away."), (Details){0});
}

Str error_postpone(Headers *headers, Str api, u32 status) {
  header_set(headers, S("content-type"), S("application/json"));
  header_set(headers, S("retry-after"), S("1"));
  Str message = S("The rate limit cannot be checked right now. Please try again in 1s.");
  return error_body(api, UNAVAILABLE, message, (Details){.status = status});
}
