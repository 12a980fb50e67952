// protobuf: messages of a few fields, written and read by hand.
#ifndef PROTOBUF_H
#define PROTOBUF_H

#include "bytes.h"

enum { VARINT = 0, EIGHT_BYTES = 1, LENGTH = 2, FOUR_BYTES = 5 };

typedef struct {
  u32 number, wire;
  u64 value; // of a varint
  Str bytes; // of all others
} Field;

// The next field of a message; false at its end, and where it is no message. Then `*at` is not its size.
bool protobuf_next(Str message, u32 *at, Field *out);
void protobuf_varint(Buffer *out, u64 value);
// A field that has a length; its number is below 16.
void protobuf_bytes(Buffer *out, u32 number, Str bytes);

#endif
