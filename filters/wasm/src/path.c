#include "path.h"

// A slash that stood as %2F divides no segments: it is this byte, which no model may have, until they are told apart.
// One that stood there as %01 gets out of the way.
enum { STAND_IN = 1, OUT_OF_THE_WAY = 2 };

static int hex(int c) {
  if (is_digit(c)) return c - '0';
  c = c >= 0 ? lower(c) : c;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Without query or fragment, percent-decoded, each run of slashes one.
static Str decoded(Str raw) {
  u8 *out = scratch(raw.size);
  u32 size = 0;
  for (u32 i = 0; i < raw.size; i++) {
    u8 c = raw.at[i];
    if (c == '?' || c == '#') break;
    if (c == '%' && hex(byte(raw, i + 1)) >= 0 && hex(byte(raw, i + 2)) >= 0) {
      c = hex(raw.at[i + 1]) * 16 + hex(raw.at[i + 2]);
      c = c == '/' ? STAND_IN : c == STAND_IN ? OUT_OF_THE_WAY : c;
      i += 2;
    }
    if (c == '/' && size && out[size - 1] == '/') continue;
    out[size++] = c;
  }
  return (Str){out, size};
}

static Str slashed(Str s) {
  u8 *out = scratch(s.size);
  for (u32 i = 0; i < s.size; i++) out[i] = s.at[i] == STAND_IN ? '/' : s.at[i];
  return (Str){out, s.size};
}

// What follows the model, by the place where it stops.
typedef enum { SLASH, VERB, ACTION } After;

static bool follows(Str small, u32 from, After after, u32 *stop) {
  u32 slash = find_byte(small, '/', from);
  if (after == SLASH || after == ACTION) {
    if (slash == NONE || slash == from) return false;
    *stop = slash;
    return after == SLASH || (slash + 1 < small.size && find_byte(small, '/', slash + 1) == NONE);
  }
  // :letters to the end
  u32 at = small.size;
  if (slash != NONE) return false;
  while (at > from && is_alpha(small.at[at - 1])) at--;
  if (at == small.size || at < from + 2 || small.at[at - 1] != ':') return false;
  *stop = at - 1;
  return true;
}

// Where APIs put the model, in lower case: a name that no API takes for another counts in any case. Of several models
// the last counts: what stands before it is a prefix that some gateway takes away.
static bool model_in(Str whole, Str small, Str *model) {
  static const struct {
    Str before;
    After after;
  } PLACES[] = {
      {S("/openai/deployments/"), SLASH}, {S("/models/"), VERB}, {S("/tunedmodels/"), VERB}, {S("/model/"), ACTION}};
  u32 best = 0, best_stop = 0;
  for (u32 i = 0; i < sizeof PLACES / sizeof PLACES[0]; i++) {
    u32 last = 0, last_stop = 0, stop;
    for (u32 at = find(small, PLACES[i].before, 0); at != NONE; at = find(small, PLACES[i].before, at + 1)) {
      u32 first = at + PLACES[i].before.size;
      if (follows(small, first, PLACES[i].after, &stop)) {
        last = first;
        last_stop = stop;
      }
    }
    if (last > best) {
      best = last;
      best_stop = last_stop;
    }
  }
  if (best) *model = cut(whole, best, best_stop);
  return best;
}

Str path_read(Str raw, bool *has_model, Str *model) {
  Str whole = decoded(raw);
  if (whole.size && (whole.at[whole.size - 1] == '/' || whole.at[whole.size - 1] == STAND_IN)) {
    whole = cut(whole, 0, whole.size - 1);
  }
  Str small = lowered(whole);
  *has_model = model_in(whole, small, model);
  if (find_byte(whole, STAND_IN, 0) != NONE) {
    // Some upstreams take a %2F for a slash after all.
    whole = slashed(whole);
    small = slashed(small);
    if (*has_model) {
      *model = slashed(*model);
    } else {
      *has_model = model_in(whole, small, model);
    }
  }
  return small;
}
