#include "protobuf.h"

static bool varint(Str message, u32 *at, u64 *out) {
  u64 value = 0;
  for (u32 shift = 0; shift < 64; shift += 7) {
    int c = byte(message, *at);
    if (c < 0) return false;
    value |= (u64)(c & 127) << shift;
    (*at)++;
    if (c < 128) {
      *out = value;
      return true;
    }
  }
  return false;
}

bool protobuf_next(Str message, u32 *at, Field *out) {
  u32 place = *at;
  u64 tag, size;
  if (!varint(message, &place, &tag)) return false;
  *out = (Field){.number = (u32)(tag >> 3), .wire = (u32)(tag & 7)};
  switch (out->wire) {
    case VARINT:
      if (!varint(message, &place, &out->value)) return false;
      *at = place;
      return true;
    case EIGHT_BYTES: size = 8; break;
    case FOUR_BYTES: size = 4; break;
    case LENGTH:
      if (!varint(message, &place, &size)) return false;
      break;
    default: return false;
  }
  if (size > message.size - place) return false;
  out->bytes = cut(message, place, place + (u32)size);
  *at = place + (u32)size;
  return true;
}

void protobuf_varint(Buffer *out, u64 value) {
  for (; value >= 128; value >>= 7) add_byte(out, (value & 127) | 128);
  add_byte(out, (u8)value);
}

void protobuf_bytes(Buffer *out, u32 number, Str bytes) {
  add_byte(out, (u8)(number << 3 | LENGTH));
  protobuf_varint(out, bytes.size);
  add(out, bytes);
}
