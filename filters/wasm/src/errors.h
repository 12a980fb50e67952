// errors: answers that the proxy gives itself, in the shape of the API that was called. Clients read them with their
// SDK, which knows no other.
#ifndef ERRORS_H
#define ERRORS_H

#include "header.h"

typedef enum { NO_KIND, REFUSED, UNIDENTIFIED, FORBIDDEN, NO_MODEL, UNAVAILABLE } Kind;

// What a body may say more than its kind does: the OpenAI `type` (empty: the kind's), the HTTP `status` (0: the kind's)
// and the seconds to `wait`.
typedef struct {
  Str type;
  u32 status;
  bool waits;
  u64 wait;
} Details;

// The body. `api` is openai, anthropic, gemini or any; all else counts as openai.
Str error_body(Str api, Kind kind, Str message, Details of);
// Has the answer none of what every answer of a server has one of? Then the proxy wrote it: it adds a date later.
bool error_bare(const Headers *headers);
// Did a filter before this one turn the request away? Only then has this one not seen the request. An authorization
// service may write its own body, and that stays.
Kind error_denied(const Headers *headers, u64 status, bool asked);
// Could the proxy not ask its rate limit service? What it answers then is bare, and had the service answered, it would
// have been `seen`.
Kind error_away(const Headers *headers, u64 status, bool seen);
// The body for who was turned away, of whose request nobody knows the API. `said` is the proxy's own body.
Str error_deny(Headers *headers, Kind kind, Str said);
// The body for who has to come back when the rate limit service is there again.
Str error_postpone(Headers *headers, Str api, u32 status);

#endif
