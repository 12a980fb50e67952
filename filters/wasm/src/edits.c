#include "edits.h"

void edit_replace(Edits *edits, u32 from, u32 to, Str text) {
  if (edits->count == MAX_EDITS) stop();
  u32 i = edits->count++;
  for (; i > 0 && edits->of[i - 1].from > from; i--) edits->of[i] = edits->of[i - 1];
  edits->of[i].from = from;
  edits->of[i].to = to;
  edits->of[i].text = text;
}

void edit_insert(Edits *edits, Str body, u32 at, Str member) {
  bool alone = byte(body, solid(body, at + 1)) == '}';
  edit_replace(edits, at + 1, at + 1, alone ? member : JOIN(member, S(",")));
}

bool edits_apply(const Edits *edits, Str body, Str *out) {
  if (!edits->count) return false;
  Str parts[2 * MAX_EDITS + 1];
  u32 at = 0;
  for (u32 i = 0; i < edits->count; i++) {
    parts[2 * i] = cut(body, at, edits->of[i].from);
    parts[2 * i + 1] = edits->of[i].text;
    at = edits->of[i].to;
  }
  parts[2 * edits->count] = from(body, at);
  *out = join(2 * edits->count + 1, parts);
  return true;
}
