#include "multipart.h"

// No part has more headers, and RFC 2046 allows no longer boundary.
enum { MAX_HEAD = 4096, MAX_BOUNDARY = 70 };

static u32 blanks(Str s, u32 at) {
  while (is_blank(byte(s, at))) at++;
  return at;
}

// Past a line's end at this place; NONE when there is none.
static u32 line_end(Str s, u32 at) {
  if (byte(s, at) == '\r') at++;
  return byte(s, at) == '\n' ? at + 1 : NONE;
}

// The next `; key = value` at `*at`; false when what is there is none.
static bool pair(Str line, u32 *at, Str *key, Str *value) {
  u32 i = blanks(line, *at);
  if (byte(line, i) != ';') return false;
  i = blanks(line, i + 1);
  u32 first = i;
  for (int c; (c = byte(line, i)) >= 0 && !is_space(c) && c != ';' && c != '=' && c != '"';) i++;
  *key = cut(line, first, i);
  i = blanks(line, i);
  if (!key->size || byte(line, i) != '=') return false;
  i = blanks(line, i + 1);
  if (byte(line, i) == '"') {
    u32 stop = i + 1;
    while (byte(line, stop) >= 0 && byte(line, stop) != '"' && byte(line, stop) != '\\') stop++;
    if (byte(line, stop) == '"') {
      *value = cut(line, i + 1, stop);
      *at = stop + 1;
      return true;
    }
  }
  first = i;
  for (int c; (c = byte(line, i)) >= 0 && !is_space(c) && c != ';' && c != ',' && c != '"';) i++;
  *value = cut(line, first, i);
  *at = i;
  return true;
}

// A parameter of a header value: unclear when not all would read it alike: it is there twice or in the form `name*`, a
// backslash escapes or does not, or the value is nonsense.
static Finding parameter(Str line, Str name, Str *found) {
  Finding is = ABSENT;
  u32 at = find_byte(line, ';', 0);
  if (at == NONE) return ABSENT;
  for (;;) {
    u32 rest = at;
    while (is_blank(byte(line, rest)) || byte(line, rest) == ';') rest++;
    if (rest == line.size) return is;
    Str key, value;
    if (!pair(line, &at, &key, &value)) return UNCLEAR;
    key = lowered(key);
    bool named = same(key, name);
    if ((named && is == PRESENT) || (starts(key, name) && byte(key, name.size) == '*')) return UNCLEAR;
    if (named) {
      is = PRESENT;
      *found = value;
    }
  }
}

// The head of a part, folded lines joined.
static Str unfolded(Str head) {
  u8 *out = scratch(head.size);
  u32 size = 0;
  for (u32 i = 0; i < head.size;) {
    u32 next = line_end(head, i);
    if (next != NONE && is_blank(byte(head, next))) {
      out[size++] = ' ';
      i = blanks(head, next);
    } else {
      out[size++] = head.at[i++];
    }
  }
  return (Str){out, size};
}

// Is a part with this head the field `model`?
static Finding is_model(Str head) {
  bool is = false, plain = true;
  head = unfolded(head);
  for (u32 at = 0; at < head.size;) {
    u32 stop = at;
    while (stop < head.size && head.at[stop] != '\r' && head.at[stop] != '\n') stop++;
    Str line = cut(head, at, stop);
    at = stop + 1;
    u32 end = 0;
    while (byte(line, end) >= 0 && byte(line, end) != ':' && !is_space(byte(line, end))) end++;
    Str key = lowered(cut(line, 0, end));
    end = blanks(line, end);
    if (!key.size || byte(line, end) != ':') continue;
    if (same(key, S("content-disposition"))) {
      Str name = {0};
      Finding named = parameter(line, S("name"), &name);
      if (named == UNCLEAR) return UNCLEAR;
      is = is || (named == PRESENT && same(name, S("model")));
    } else if (same(key, S("content-transfer-encoding"))) {
      u32 first = blanks(line, end + 1), last = first;
      while (byte(line, last) >= 0 && !is_blank(byte(line, last))) last++;
      Str coding = lowered(cut(line, first, last));
      plain = plain && (same(coding, S("7bit")) || same(coding, S("8bit")) || same(coding, S("binary")));
    }
  }
  return is && !plain ? UNCLEAR : is ? PRESENT : ABSENT;
}

// The next delimiter from `at` on: where the end of the line before it is, and past the end of its own line, NONE when
// it closes the form. `mark` begins with a line's end, which the first delimiter need not have.
static u32 delimiter(Str body, Str mark, u32 at, u32 *next) {
  Str bare = from(mark, 1);
  bool leads = at == 0 && starts(body, bare);
  for (u32 first = leads ? 0 : find(body, mark, at); first != NONE; first = find(body, mark, at)) {
    u32 last = first + (leads ? bare.size : mark.size), end = blanks(body, last);
    leads = false;
    *next = line_end(body, end);
    if (*next != NONE) return first;
    if (byte(body, last) == '-' && byte(body, last + 1) == '-') {
      end = blanks(body, last + 2);
      if (end == body.size || line_end(body, end) != NONE) return first;
    }
    at = last;
  }
  return NONE;
}

// The value of the part from `first` up to the delimiter at `to` (NONE: there is none).
static Finding field(Str body, u32 first, u32 to, Str *value) {
  u32 end = to == NONE ? body.size : to;
  // One byte of a longer head does not matter; as many as the Lua looks at.
  Str head = cut(body, first, end < first + MAX_HEAD + 1 ? end : first + MAX_HEAD + 1);
  if (line_end(head, 0) != NONE) return ABSENT;
  for (u32 i = 0; i < head.size; i++) {
    u32 blank = line_end(head, i);
    if (blank == NONE || (blank = line_end(head, blank)) == NONE) continue;
    Finding is = is_model(cut(head, 0, i));
    if (is == ABSENT) return ABSENT;
    if (is == UNCLEAR || to == NONE) return UNCLEAR;
    *value = cut(body, first + blank, to > 0 && body.at[to - 1] == '\r' ? to - 1 : to);
    return PRESENT;
  }
  return UNCLEAR;
}

Finding multipart_model(Str kind, Str body, Str *model) {
  if (find(lowered(kind), S("multipart/form-data"), 0) == NONE) return ABSENT;
  Str boundary = {0};
  if (parameter(kind, S("boundary"), &boundary) != PRESENT || !boundary.size || boundary.size > MAX_BOUNDARY) {
    return UNCLEAR;
  }
  Str mark = JOIN(S("\n--"), boundary);
  Finding is = ABSENT;
  u32 at = NONE;
  delimiter(body, mark, 0, &at);
  while (at != NONE) {
    u32 next = NONE, to = delimiter(body, mark, at, &next);
    Str value = {0};
    Finding one = field(body, at, to, &value);
    if (one == UNCLEAR || (one == PRESENT && is == PRESENT && !same(value, *model))) return UNCLEAR;
    if (one == PRESENT) {
      is = PRESENT;
      *model = value;
    }
    at = next;
  }
  return is;
}
