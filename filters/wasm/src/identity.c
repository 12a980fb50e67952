#include "identity.h"

#include "number.h"
#include "protobuf.h"

// Metadata.filter_metadata and Struct.fields are maps of messages: key = 1, value = 2, in field 1 of both.
enum { ENTRIES = 1, KEY = 1, VALUE = 2 };
// Of Value.
enum { NUMBER = 2, TEXT = 3, BOOLEAN = 4, STRUCT = 5 };

void identity_cover(Headers *headers) {
  const Context *context = headers->known->context;
  for (u32 i = 0; i < context->told; i++) {
    const Told *told = &context->tell[i];
    header_remove(headers, told->header);
    if (told->has_fallback) header_add(headers, told->header, told->fallback);
  }
}

// The value of a key in a map; the last of several counts, as in protobuf.
static bool entry(Str map, Str key, Str *out) {
  Field field;
  bool any = false;
  for (u32 at = 0; protobuf_next(map, &at, &field);) {
    if (field.number != ENTRIES || field.wire != LENGTH) continue;
    Field part;
    Str name = {0}, value = {0};
    for (u32 inner = 0; protobuf_next(field.bytes, &inner, &part);) {
      if (part.wire != LENGTH) continue;
      if (part.number == KEY) name = part.bytes;
      if (part.number == VALUE) value = part.bytes;
    }
    if (!same(name, key)) continue;
    *out = value;
    any = true;
  }
  return any;
}

static bool plain(Str value, Str *out) {
  Field field;
  bool usable = false;
  for (u32 at = 0; protobuf_next(value, &at, &field);) {
    usable = true;
    if (field.number == NUMBER && field.wire == EIGHT_BYTES) {
      double number;
      __builtin_memcpy(&number, field.bytes.at, 8);
      *out = number_text(number);
    } else if (field.number == TEXT && field.wire == LENGTH) {
      usable = header_value(field.bytes, out);
    } else if (field.number == BOOLEAN && field.wire == VARINT) {
      *out = field.value ? S("true") : S("false");
    } else {
      usable = false;
    }
  }
  return usable;
}

void identity_tell(Headers *headers, const Told *told, Str metadata) {
  Str map, value;
  if (told->broken) {
    headers->known->fault = true;
    return;
  }
  if (!entry(metadata, told->space, &map) || !told->steps) return;
  for (u32 i = 0; i < told->steps; i++) {
    if (!entry(map, told->path[i], &value)) return;
    Field field;
    map = (Str){0};
    for (u32 at = 0; protobuf_next(value, &at, &field);) {
      if (field.number == STRUCT && field.wire == LENGTH) map = field.bytes;
    }
  }
  Str text;
  if (plain(value, &text)) header_set(headers, told->header, text);
}

Str identity_metadata(void) {
  Str out = {0}, path = S("metadata");
  return proxy_get_property(path.at, path.size, &out.at, &out.size) == OK ? out : (Str){0};
}
