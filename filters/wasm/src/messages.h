// messages: Bedrock's binary streams (application/vnd.amazon.eventstream), in pieces cut at any byte. A message is its
// length, the length of its headers and a checksum (4 bytes each, big endian), headers, payload, checksum. Payloads say
// by their shape what they are, so headers and checksums are passed over.
#ifndef MESSAGES_H
#define MESSAGES_H

#include "sink.h"

enum { PRELUDE = 12 };

typedef struct {
  u32 head_size;
  u8 head[PRELUDE];
  u32 skip;       // bytes to pass over before the payload
  bool inside;    // a message is being read
  u32 left;       // bytes of its payload still to come
  bool kept;      // it is not too long
  Buffer payload;
  bool over;      // lengths made no sense: the rest is unreadable
} Messages;

// Takes the next piece; tells `sink` of every whole payload. False once it cannot be read.
bool messages_push(Messages *messages, Str body, Sink *sink);
void messages_free(Messages *messages);

#endif
