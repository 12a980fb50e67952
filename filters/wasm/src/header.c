#include "header.h"

static u32 word(Str s, u32 at) {
  if (at + 4 > s.size) return 0;
  return s.at[at] | (u32)s.at[at + 1] << 8 | (u32)s.at[at + 2] << 16 | (u32)s.at[at + 3] << 24;
}

// A count, two lengths for each header, then names and values, each with a zero byte after it.
void headers_read(Headers *headers, u32 type, Known *known) {
  *headers = (Headers){.type = type, .known = known};
  Str packed = {0};
  if (type == REQUEST_HEADERS && known->kept.size) {
    packed = known->kept;
    headers->gated = true;
  } else if (proxy_get_header_map_pairs(type, &packed.at, &packed.size) != OK || packed.size < 4) {
    return;
  }
  u32 count = word(packed, 0);
  if (count > (packed.size - 4) / 8) return;
  headers->room = count + 16;
  headers->pair = scratch(headers->room * sizeof(Pair));
  u64 at = 4 + (u64)count * 8;
  for (u32 i = 0; i < count; i++) {
    u64 name = word(packed, 4 + i * 8), value = word(packed, 8 + i * 8);
    if (at + name + value + 2 > packed.size) return;
    headers->pair[headers->count++] = (Pair){
        .name = cut(packed, (u32)at, (u32)(at + name)),
        .value = cut(packed, (u32)(at + name + 1), (u32)(at + name + 1 + value)),
    };
    at += name + value + 2;
  }
}

static void put_word(Buffer *out, u32 word) {
  u8 bytes[4] = {word & 255, word >> 8 & 255, word >> 16 & 255, word >> 24};
  add(out, (Str){bytes, 4});
}

Str headers_packed(const Pair *pairs, u32 count) {
  Buffer out = SCRATCH;
  put_word(&out, count);
  for (u32 i = 0; i < count; i++) {
    put_word(&out, pairs[i].name.size);
    put_word(&out, pairs[i].value.size);
  }
  for (u32 i = 0; i < count; i++) {
    add(&out, pairs[i].name);
    add_byte(&out, 0);
    add(&out, pairs[i].value);
    add_byte(&out, 0);
  }
  return all(&out);
}

bool header_get(const Headers *headers, Str name, Str *value) {
  bool any = false;
  for (u32 i = 0; i < headers->count; i++) {
    if (!same(headers->pair[i].name, name)) continue;
    *value = any ? JOIN(*value, S(","), headers->pair[i].value) : headers->pair[i].value;
    any = true;
  }
  return any;
}

Str header_text(const Headers *headers, Str name) {
  Str value = {0};
  return header_get(headers, name, &value) ? value : (Str){0};
}

bool header_there(const Headers *headers, Str name) {
  for (u32 i = 0; i < headers->count; i++) {
    if (same(headers->pair[i].name, name)) return true;
  }
  return false;
}

static bool host_edit(u32 type, Str name, const Str *value) {
  if (!value) return proxy_remove_header_map_value(type, name.at, name.size) == OK;
  return proxy_add_header_map_value(type, name.at, name.size, value->at, value->size) == OK;
}

// Adds a value, or without one removes the header. For the gate: whether there is one, two lengths, name and value.
static bool edit(Headers *headers, Str name, const Str *value) {
  Buffer *edits = &headers->known->edits;
  if (!headers->gated) return host_edit(headers->type, name, value);
  add_byte(edits, value != NULL);
  put_word(edits, name.size);
  put_word(edits, value ? value->size : 0);
  add(edits, name);
  if (value) add(edits, *value);
  return true;
}

bool headers_edit(Str edits) {
  bool made = true;
  for (u32 at = 0; at < edits.size;) {
    u32 name = word(edits, at + 1), size = word(edits, at + 5);
    Str value = cut(edits, at + 9 + name, at + 9 + name + size);
    made = host_edit(REQUEST_HEADERS, cut(edits, at + 9, at + 9 + name), edits.at[at] ? &value : NULL) && made;
    at += 9 + name + size;
  }
  return made;
}

void header_add(Headers *headers, Str name, Str value) {
  Known *known = headers->known;
  if (known->fault) return;
  known->fault = !edit(headers, name, &value);
  if (known->fault) return;
  if (headers->count == headers->room) {
    Pair *more = scratch((headers->room * 2 + 16) * sizeof(Pair));
    copy(more, headers->pair, headers->count * sizeof(Pair));
    headers->pair = more;
    headers->room = headers->room * 2 + 16;
  }
  headers->pair[headers->count++] = (Pair){name, value};
}

void header_remove(Headers *headers, Str name) {
  if (headers->known->fault || !header_there(headers, name)) return;
  headers->known->fault = !edit(headers, name, NULL);
  u32 kept = 0;
  for (u32 i = 0; i < headers->count; i++) {
    if (!same(headers->pair[i].name, name)) headers->pair[kept++] = headers->pair[i];
  }
  headers->count = kept;
}

void header_set(Headers *headers, Str name, Str value) {
  header_remove(headers, name);
  header_add(headers, name, value);
}

bool header_settle(Headers *headers, Str name, const Str *fallback, Str *out) {
  u32 count = 0;
  Str value = {0}, only = {0};
  bool any = false;
  for (u32 i = 0; i < headers->count; i++) {
    if (!same(headers->pair[i].name, name)) continue;
    count++;
    only = headers->pair[i].value;
    any = any || header_value(only, &value);
  }
  if (!any && fallback) {
    value = *fallback;
    any = true;
  }
  if (!any) {
    header_remove(headers, name);
  } else if (count != 1 || !same(only, value)) {
    header_set(headers, name, value);
  }
  if (out) *out = value;
  return any;
}

bool header_plain(const Headers *headers) {
  Str coding;
  if (!header_get(headers, S("content-encoding"), &coding)) return true;
  u8 *plain = scratch(coding.size);
  u32 size = 0;
  for (u32 i = 0; i < coding.size; i++) {
    if (!is_blank(coding.at[i])) plain[size++] = lower(coding.at[i]);
  }
  return size == 0 || same((Str){plain, size}, S("identity"));
}
