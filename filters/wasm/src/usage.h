// usage: the numbers of one usage object, by the rules of the wire formats.
#ifndef USAGE_H
#define USAGE_H

#include "json.h"

// Envoy drops a hits_addend above this, and then nothing is charged.
#define MAX_CHARGE 1000000000u

static inline u32 clamp(u64 value) { return value < MAX_CHARGE ? (u32)value : MAX_CHARGE; }
// The same for a weighted sum, rounded up.
static inline u32 clamp_sum(double value) { return value < MAX_CHARGE ? (u32)__builtin_ceil(value) : MAX_CHARGE; }

// The members of a usage object that have a number, by their place in a list of all that any format has.
typedef struct {
  u32 has; // a bit for each
  u32 value[MAX_NAMES];
} Fields;

typedef struct {
  u32 prompt, completion, total, cached, cache_write, reasoning;
} Numbers;

// The numbers of the object at `at`, and of what Cohere wraps; `wrapped`: of nothing else. False without any.
bool usage_fields(Str body, u32 at, bool wrapped, Fields *out);
Numbers usage_numbers(const Fields *fields);

#endif
