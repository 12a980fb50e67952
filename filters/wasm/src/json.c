#include "json.h"

// Deeper text is unreadable. Go's decoder stops here too, and Python's long before.
enum { MAX_DEPTH = 10000 };
// The longest key anybody asks for (cache_creation_input_tokens) in its quotes, with every character written as \uXXXX.
enum { MAX_KEY = 27 * 6 + 2 };

u32 solid(Str body, u32 at) {
  while (at < body.size) {
    u8 c = body.at[at];
    if (c > 32 || !(c == ' ' || c == '\t' || c == '\r' || c == '\n')) return at;
    at++;
  }
  return body.size;
}

u32 string_end(Str body, u32 at, bool *odd) {
  u32 from = *odd ? at + 1 : at, quote = from;
  for (;; quote++) {
    quote = find_byte(body, '"', quote);
    u32 stop = quote == NONE ? body.size : quote, run = stop;
    while (run > from && body.at[run - 1] == '\\') run--;
    bool escaped = (stop - run) % 2;
    if (quote == NONE) {
      // The byte that the piece before escaped may not have come yet.
      *odd = stop < from ? *odd : escaped;
      return NONE;
    }
    if (!escaped) {
      *odd = false;
      return quote + 1;
    }
  }
}

static u32 digits(Str body, u32 at) {
  while (is_digit(byte(body, at))) at++;
  return at;
}

static u32 scalar_end(Str body, u32 at) {
  int c = byte(body, at);
  Str word = c == 't' ? S("true") : c == 'f' ? S("false") : c == 'n' ? S("null") : c == 'N' ? S("NaN")
             : c == 'I' ? S("Infinity") : c == '-' && byte(body, at + 1) == 'I' ? S("-Infinity") : S("");
  if (word.size) return starts(from(body, at), word) ? at + word.size : NONE;
  u32 first = c == '-' ? at + 1 : at, stop = digits(body, first);
  if (stop == first || (body.at[first] == '0' && stop > first + 1)) return NONE;
  if (byte(body, stop) == '.' && is_digit(byte(body, stop + 1))) stop = digits(body, stop + 1);
  if (byte(body, stop) == 'e' || byte(body, stop) == 'E') {
    u32 sign = byte(body, stop + 1) == '+' || byte(body, stop + 1) == '-' ? stop + 2 : stop + 1;
    if (is_digit(byte(body, sign))) stop = digits(body, sign);
  }
  return stop;
}

// For the member whose key begins at `at`: where its value begins, and where its key has ended.
static u32 member(Str body, u32 at, u32 *key_end) {
  if (byte(body, at) != '"') return NONE;
  bool odd = false;
  u32 stop = string_end(body, at + 1, &odd);
  if (stop == NONE) return NONE;
  u32 colon = solid(body, stop);
  if (byte(body, colon) != ':') return NONE;
  if (key_end) *key_end = stop;
  return solid(body, colon + 1);
}

// Loops, so depth costs no stack; a bit for each depth says whether an object is open there.
u32 value_end(Str body, u32 at) {
  static u8 objects[(MAX_DEPTH + 7) / 8];
  u32 depth = 0;
  for (;;) {
    int c = byte(body, at);
    if (c == '{' || c == '[') {
      if (depth == MAX_DEPTH) return NONE;
      bool object = c == '{';
      at = solid(body, at + 1);
      if (byte(body, at) != (object ? '}' : ']')) {
        objects[depth / 8] = (objects[depth / 8] & ~(1 << depth % 8)) | object << depth % 8;
        depth++;
        if (object) at = member(body, at, NULL);
        if (at == NONE) return NONE;
        continue;
      }
      at++;
    } else if (c == '"') {
      bool odd = false;
      at = string_end(body, at + 1, &odd);
    } else {
      at = scalar_end(body, at);
    }
    // After a value: what ends here is closed.
    for (;;) {
      if (at == NONE || depth == 0) return at;
      at = solid(body, at);
      bool object = objects[(depth - 1) / 8] >> (depth - 1) % 8 & 1;
      c = byte(body, at);
      if (c == ',') {
        at = solid(body, at + 1);
        if (object) at = member(body, at, NULL);
        if (at == NONE) return NONE;
        break;
      }
      if (c != (object ? '}' : ']')) return NONE;
      depth--;
      at++;
    }
  }
}

static u32 place(const Names *names, Str name) {
  for (u32 i = 0; i < names->count; i++) {
    if (same(names->name[i], name)) return i;
  }
  return NONE;
}

u32 members(Str body, u32 at, const Names *wanted, Spans *spans) {
  spans->count = 0;
  for (u32 i = 0; i < wanted->count; i++) spans->of[i].from = NONE;
  if (byte(body, at) != '{') return NONE;
  at = solid(body, at + 1);
  if (byte(body, at) == '}') return at + 1;
  for (;;) {
    u32 key_end = 0, value = member(body, at, &key_end);
    u32 to = value == NONE ? NONE : value_end(body, value);
    if (to == NONE) return NONE;
    Str name;
    if (key_end - at <= MAX_KEY && unescape(cut(body, at + 1, key_end - 1), &name)) {
      u32 i = place(wanted, name);
      if (i != NONE) {
        spans->count += spans->of[i].from == NONE;
        spans->of[i] = (Span){at, value, to};
      }
    }
    at = solid(body, to);
    int c = byte(body, at);
    if (c == '}') return at + 1;
    if (c != ',') return NONE;
    at = solid(body, at + 1);
  }
}

u32 document(Str body, const Names *wanted, Spans *spans) {
  u32 start = solid(body, starts(body, S("\xef\xbb\xbf")) ? 3 : 0);
  u32 stop = members(body, start, wanted, spans);
  return stop != NONE && solid(body, stop) == body.size && escapes_ok(body) ? start : NONE;
}
