// limits: the rate-limit headers of an answer. The proxy's own say N - 1 for a token limit of N and do not reach the
// client (DESIGN 4.9); what the client gets is the true quantity.
#ifndef LIMITS_H
#define LIMITS_H

#include "errors.h"

// What the service said, in the proxy's three headers or to the filter itself.
typedef struct {
  Str policies;
  bool says_remaining;
  u64 limit, remaining, reset;
} Seen;

// Takes the proxy's headers out; false when they were not there.
bool limits_take(Headers *headers, Seen *seen);
// The limit of the policy that the proxy reported, or NULL.
const Limit *limits_find(const Context *context, const Seen *seen);
// The headers of an answer that was admitted: quantity, quantity minus used at admission, seconds.
void limits_admit(Headers *headers, const Limit *limit, const Seen *seen);
// Is it the proxy's refusal? A local reply has none of what every answer of a server has one of. The header
// x-envoy-ratelimited proves nothing: an upstream can send it, and EG turns it off.
bool limits_refused(const Headers *headers, u64 status, const Seen *seen);
// A refusal: its headers, of which there are at most REFUSAL, and its body in the shape of the API.
enum { REFUSAL = 8 };
Str limits_refusal(const Limit *limit, const Seen *seen, Str model, Str api, Pair *headers, u32 *count);

#endif
