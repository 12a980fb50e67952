#include "bytes.h"

Str cut(Str s, u32 from, u32 to) {
  to = to < s.size ? to : s.size;
  from = from < to ? from : to;
  return (Str){s.at ? s.at + from : s.at, to - from};
}

Str from(Str s, u32 at) { return cut(s, at, s.size); }

// Eight bytes at a time, here and below: most of what is compared and searched is text.
static u64 word(const u8 *at) {
  u64 out;
  __builtin_memcpy(&out, at, 8);
  return out;
}

bool same(Str one, Str other) {
  u32 at = 0;
  if (one.size != other.size) return false;
  for (; one.size - at >= 8; at += 8) {
    if (word(one.at + at) != word(other.at + at)) return false;
  }
  for (; at < one.size; at++) {
    if (one.at[at] != other.at[at]) return false;
  }
  return true;
}

bool starts(Str s, Str with) { return s.size >= with.size && same(cut(s, 0, with.size), with); }

bool ends(Str s, Str with) { return s.size >= with.size && same(from(s, s.size - with.size), with); }

u32 find_byte(Str s, u8 c, u32 at) {
  const u64 ones = 0x0101010101010101ull, tops = 0x8080808080808080ull;
  u64 pattern = ones * c;
  while (at < s.size && s.size - at >= 8) {
    u64 eight = word(s.at + at) ^ pattern;
    if ((eight - ones) & ~eight & tops) break;
    at += 8;
  }
  for (; at < s.size; at++) {
    if (s.at[at] == c) return at;
  }
  return NONE;
}

u32 find(Str s, Str what, u32 at) {
  while ((at = find_byte(s, what.at[0], at)) != NONE) {
    if (starts(from(s, at), what)) return at;
    at++;
  }
  return NONE;
}

Str lowered(Str s) {
  u8 *out = scratch(s.size);
  for (u32 i = 0; i < s.size; i++) out[i] = lower(s.at[i]);
  return (Str){out, s.size};
}

Str trimmed(Str s) {
  u32 first = 0, last = s.size;
  while (first < last && is_blank(s.at[first])) first++;
  while (last > first && is_blank(s.at[last - 1])) last--;
  return cut(s, first, last);
}

static void grow(Buffer *buffer, u32 more) {
  u64 need = (u64)buffer->size + more, room = buffer->room ? buffer->room : 48;
  if (need <= buffer->room) return;
  while (room < need) room = room * 2 + 16; // with the head of a block a power of two again
  if (room > 0x40000000u) stop();
  u8 *at = buffer->scratch ? scratch(room) : take_raw(room);
  copy(at, buffer->at, buffer->size);
  if (!buffer->scratch) give(buffer->at);
  buffer->at = at;
  buffer->room = room;
}

void add(Buffer *buffer, Str bytes) {
  if (!bytes.size) return;
  grow(buffer, bytes.size);
  move(buffer->at + buffer->size, bytes.at, bytes.size);
  buffer->size += bytes.size;
}

void add_byte(Buffer *buffer, u8 c) { add(buffer, (Str){&c, 1}); }

void add_number(Buffer *buffer, u64 number) {
  u8 digits[20];
  u32 at = sizeof digits;
  do {
    digits[--at] = '0' + number % 10;
    number /= 10;
  } while (number);
  add(buffer, (Str){digits + at, sizeof digits - at});
}

void free_buffer(Buffer *buffer) {
  if (!buffer->scratch) give(buffer->at);
  *buffer = (Buffer){.scratch = buffer->scratch};
}

Str join(u32 count, const Str *parts) {
  u32 size = 0;
  for (u32 i = 0; i < count; i++) size += parts[i].size;
  u8 *out = scratch(size), *at = out;
  for (u32 i = 0; i < count; i++) {
    copy(at, parts[i].at, parts[i].size);
    at += parts[i].size;
  }
  return (Str){out, size};
}

Str decimal(u64 number) {
  Buffer out = SCRATCH;
  add_number(&out, number);
  return all(&out);
}
