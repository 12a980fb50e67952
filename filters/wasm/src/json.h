// json: finds the members of a complete JSON object without building anything. It reads what Python's
// json.loads(strict=False) reads, no more and no less: one crisp rule, and a fuzzer can hold it.
#ifndef JSON_H
#define JSON_H

#include "text.h"

enum { MAX_NAMES = 32 };

// Names of members to look for, known by their place.
typedef struct {
  u32 count;
  const Str *name;
} Names;

// Where the key begins, where the value begins (NONE: there is no such member), and where it has ended.
typedef struct {
  u32 key, from, to;
} Span;

typedef struct {
  u32 count; // of those found
  Span of[MAX_NAMES];
} Spans;

// The first position from `at` on that is not blank; the end when there is none.
u32 solid(Str body, u32 at);
// The position after the closing quote of a string whose inside goes on at `at`; NONE without one, and whether an odd
// run of backslashes ends it. `odd` says that one ended the piece before.
u32 string_end(Str body, u32 at, bool *odd);
// The position after the value that begins at `at`; NONE when it is not JSON.
u32 value_end(Str body, u32 at);
// Fills `spans` with the wanted members of the object at `at`; of repeated keys the last counts. Gives the position
// after the object, or NONE when there is no whole object.
u32 members(Str body, u32 at, const Names *wanted, Spans *spans);
// The same for a text that is one JSON object and nothing else (a BOM may lead): where the object begins, or NONE.
u32 document(Str body, const Names *wanted, Spans *spans);

static inline bool there(const Spans *spans, u32 name) { return spans->of[name].from != NONE; }
// The text of a member; empty without it.
static inline Str raw(Str body, const Spans *spans, u32 name) {
  return there(spans, name) ? cut(body, spans->of[name].from, spans->of[name].to) : (Str){0};
}

#endif
