// edits: changes to a body, each where it has to be and none anywhere else.
#ifndef EDITS_H
#define EDITS_H

#include "json.h"

enum { MAX_EDITS = 16 };

typedef struct {
  u32 count;
  struct {
    u32 from, to;
    Str text;
  } of[MAX_EDITS];
} Edits;

// Puts `text` in the place of the bytes from `from` up to `to`. No two changes may overlap; of two at one place the
// earlier comes first.
void edit_replace(Edits *edits, u32 from, u32 to, Str text);
// Makes `member` the first one of the object at `at`.
void edit_insert(Edits *edits, Str body, u32 at, Str member);
// The body with all changes; false when there are none.
bool edits_apply(const Edits *edits, Str body, Str *out);

#endif
