#include "limits.h"

static const Str NAMES[] = {S("limit"), S("remaining"), S("reset")};

static Str rest_of(double value) { return decimal(value > 0 ? (u64)value : 0); }

// Takes a header out. Gives its last value: the proxy adds its own after what the upstream sent.
static bool pull(Headers *headers, Str name, Str *out) {
  bool any = false;
  for (u32 i = 0; i < headers->count; i++) {
    if (!same(headers->pair[i].name, name)) continue;
    *out = headers->pair[i].value;
    any = true;
  }
  header_remove(headers, name);
  return any;
}

// The digits from `at` on as a number that stops growing before it could overflow; NONE digits: false.
static bool digits(Str s, u32 *at, u64 *out) {
  if (!is_digit(byte(s, *at))) return false;
  u64 value = 0;
  for (; is_digit(byte(s, *at)); (*at)++) {
    if (value < 1000000000000000ull) value = value * 10 + (s.at[*at] - '0');
  }
  *out = value;
  return true;
}

static bool number(Str value, u64 *out) {
  u32 at = 0;
  while (is_space(byte(value, at))) at++;
  return digits(value, &at, out);
}

bool limits_take(Headers *headers, Seen *seen) {
  Str policies = {0}, remaining = {0}, reset = {0};
  *seen = (Seen){.reset = 1};
  bool any = pull(headers, S("x-ratelimit-limit"), &policies);
  bool left = pull(headers, S("x-ratelimit-remaining"), &remaining);
  bool time = pull(headers, S("x-ratelimit-reset"), &reset);
  if (!any || !number(policies, &seen->limit)) return false;
  seen->policies = policies;
  seen->says_remaining = left && number(remaining, &seen->remaining);
  if (!time || !number(reset, &seen->reset)) seen->reset = 1;
  return true;
}

// Of two limits that both may be the one reported, the one to believe: the shortest window that the reset fits in, and
// a token limit before a request limit.
static bool better(const Limit *one, const Limit *other, u64 reset) {
  if (!other) return true;
  if (one->window != other->window) {
    if ((one->window < reset) != (other->window < reset)) return one->window >= reset;
    return one->window < other->window;
  }
  return same(one->kind, S("tokens")) && !same(other->kind, S("tokens"));
}

// The next `<limit>;w=<window>` of the policies, from `*at` on.
static bool next_policy(Str policies, u32 *at, u64 *limit, u64 *window) {
  while (*at < policies.size) {
    if (!digits(policies, at, limit)) {
      (*at)++;
      continue;
    }
    if (!starts(from(policies, *at), S(";w="))) continue;
    u32 value = *at + 3;
    if (digits(policies, &value, window)) {
      *at = value;
      return true;
    }
  }
  return false;
}

// Does the proxy name this window for the limit it reports, or none?
static bool named(const Seen *seen, double wanted) {
  u64 limit, window;
  bool any = false;
  for (u32 at = 0; next_policy(seen->policies, &at, &limit, &window);) {
    if (limit != seen->limit) continue;
    if (window == wanted) return true;
    any = true;
  }
  return !any; // Envoy names no window for a unit that it does not know.
}

const Limit *limits_find(const Context *context, const Seen *seen) {
  const Limit *found = NULL;
  for (u32 i = 0; i < context->limits; i++) {
    const Limit *one = &context->limit[i];
    if (one->reported == seen->limit && named(seen, one->window) && better(one, found, seen->reset)) found = one;
  }
  return found;
}

static Str titled(Str name, Str kind) { return JOIN(S("x-ratelimit-"), name, S("-"), kind); }

void limits_admit(Headers *headers, const Limit *limit, const Seen *seen) {
  if (!limit->whole) {
    headers->known->fault = true;
    return;
  }
  for (u32 i = 0; i < 3; i++) {
    header_remove(headers, titled(NAMES[i], S("tokens")));
    header_remove(headers, titled(NAMES[i], S("requests")));
  }
  double remaining = (double)seen->remaining + limit->quantity - limit->reported;
  header_add(headers, titled(NAMES[0], limit->kind), rest_of(limit->quantity));
  header_add(headers, titled(NAMES[1], limit->kind), rest_of(remaining));
  header_add(headers, titled(NAMES[2], limit->kind), decimal(seen->reset));
}

bool limits_refused(const Headers *headers, u64 status, const Seen *seen) {
  return status == 429 && seen && seen->says_remaining && seen->remaining == 0 && error_bare(headers);
}

Str limits_refusal(const Limit *limit, const Seen *seen, Str model, Str api, Pair *headers, u32 *count) {
  u64 wait = seen->reset > 1 ? seen->reset : 1;
  Str kind = S("tokens"), what = {0}, seconds = decimal(wait);
  *count = 0;
  if (limit) {
    kind = limit->kind;
    Str quantity = rest_of(limit->quantity);
    headers[(*count)++] = (Pair){titled(NAMES[0], kind), quantity};
    headers[(*count)++] = (Pair){titled(NAMES[1], kind), S("0")};
    headers[(*count)++] = (Pair){titled(NAMES[2], kind), decimal(seen->reset)};
    what = JOIN(S(" on "), limit->what.size ? limit->what : kind, S(" per "), limit->unit, S(": limit "), quantity,
                S(", "), limit->held ? S("too little left") : S("used up"));
  }
  headers[(*count)++] = (Pair){S("retry-after"), seconds};
  headers[(*count)++] = (Pair){S("retry-after-ms"), decimal(wait * 1000)};
  headers[(*count)++] = (Pair){S("content-type"), S("application/json")};
  if (wait > 60) headers[(*count)++] = (Pair){S("x-should-retry"), S("false")};
  Str message = JOIN(S("Rate limit reached for "), model, what, S(". Please try again in "), seconds, S("s."));
  return error_body(api, REFUSED, message, (Details){.type = kind, .waits = true, .wait = wait});
}
