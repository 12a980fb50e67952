#include "text.h"

static int hex(int c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The number of four hexadecimal digits at a place, or -1.
static int code_at(Str s, u32 at) {
  int code = 0;
  for (u32 i = 0; i < 4; i++) {
    int digit = hex(byte(s, at + i));
    if (digit < 0) return -1;
    code = code * 16 + digit;
  }
  return code;
}

// What the letter after a backslash stands for, or -1.
static int escape(int c) {
  switch (c) {
    case '"': case '/': case '\\': return c;
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: return -1;
  }
}

bool escapes_ok(Str json) {
  u32 at = 0;
  while ((at = find_byte(json, '\\', at)) != NONE) {
    int c = byte(json, at + 1);
    if (c == 'u' ? code_at(json, at + 2) < 0 : escape(c) < 0) return false;
    at += 2;
  }
  return true;
}

static u32 put_utf8(u8 *out, u32 code) {
  if (code < 128) {
    out[0] = code;
    return 1;
  } else if (code < 2048) {
    out[0] = 192 + (code >> 6);
    out[1] = 128 + (code & 63);
    return 2;
  } else if (code < 65536) {
    out[0] = 224 + (code >> 12);
    out[1] = 128 + (code >> 6 & 63);
    out[2] = 128 + (code & 63);
    return 3;
  }
  out[0] = 240 + (code >> 18);
  out[1] = 128 + (code >> 12 & 63);
  out[2] = 128 + (code >> 6 & 63);
  out[3] = 128 + (code & 63);
  return 4;
}

bool unescape(Str raw, Str *out) {
  u32 next = find_byte(raw, '\\', 0);
  if (next == NONE) {
    *out = raw;
    return true;
  }
  // No escape is shorter than what it stands for.
  u8 *text = scratch(raw.size);
  u32 size = 0, done = 0;
  for (; next != NONE; next = find_byte(raw, '\\', done)) {
    copy(text + size, raw.at + done, next - done);
    size += next - done;
    int c = byte(raw, next + 1);
    if (c != 'u') {
      int plain = escape(c);
      if (plain < 0) return false;
      text[size++] = plain;
      done = next + 2;
      continue;
    }
    int code = code_at(raw, next + 2);
    done = next + 6;
    if (code >= 0xd800 && code < 0xdc00 && byte(raw, done) == '\\' && byte(raw, done + 1) == 'u') {
      int low = code_at(raw, done + 2);
      if (low >= 0xdc00 && low < 0xe000) {
        code = 0x10000 + (code - 0xd800) * 1024 + low - 0xdc00;
        done += 6;
      }
    }
    if (code < 0 || (code >= 0xd800 && code < 0xe000)) return false;
    size += put_utf8(text + size, code);
  }
  copy(text + size, raw.at + done, raw.size - done);
  *out = (Str){text, size + raw.size - done};
  return true;
}

bool is_utf8(Str value) {
  u32 at = 0;
  while (at < value.size) {
    u8 c = value.at[at];
    if (c < 128) {
      at++;
      continue;
    }
    int least = 128, most = 191, width = 2, second = byte(value, at + 1);
    if (c >= 240) {
      width = 4;
      least = c == 240 ? 144 : least;
      most = c == 244 ? 143 : most;
    } else if (c >= 224) {
      width = 3;
      least = c == 224 ? 160 : least;
      most = c == 237 ? 159 : most;
    }
    if (c < 194 || c > 244 || second < least || second > most) return false;
    for (int i = 2; i < width; i++) {
      int more = byte(value, at + i);
      if (more < 128 || more > 191) return false;
    }
    at += width;
  }
  return true;
}

bool header_value(Str value, Str *out) {
  Str inner = trimmed(value);
  if (!inner.size) return false;
  for (u32 i = 0; i < inner.size; i++) {
    if (inner.at[i] < 32 || inner.at[i] == 127) return false;
  }
  if (!is_utf8(inner)) return false;
  *out = inner;
  return true;
}

void add_quoted(Buffer *out, Str value) {
  add_byte(out, '"');
  for (u32 i = 0; i < value.size; i++) {
    if (value.at[i] == '"' || value.at[i] == '\\') add_byte(out, '\\');
    add_byte(out, value.at[i]);
  }
  add_byte(out, '"');
}
