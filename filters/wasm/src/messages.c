#include "messages.h"

// Payloads of Bedrock have a few hundred bytes; a longer one is not kept and counts as a delta. No message is longer
// than 16 MiB of payload and 128 KiB of headers.
enum { MAX_PAYLOAD = 8192, CHECKSUM = 4, MAX_MESSAGE = 16777216 + 131072 + PRELUDE + CHECKSUM };

void messages_free(Messages *messages) { free_buffer(&messages->payload); }

static u32 length(const u8 *at) { return (u32)at[0] << 24 | (u32)at[1] << 16 | (u32)at[2] << 8 | at[3]; }

static void prelude(Messages *messages) {
  u32 total = length(messages->head), headers = length(messages->head + 4);
  i64 left = (i64)total - headers - PRELUDE - CHECKSUM;
  messages->head_size = 0;
  messages->over = left < 0 || total > MAX_MESSAGE;
  messages->inside = true;
  messages->left = messages->over ? 0 : (u32)left;
  messages->skip = headers;
  messages->kept = left <= MAX_PAYLOAD;
}

static void finish(Messages *messages, Sink *sink) {
  if (messages->kept) {
    sink_event(sink, all(&messages->payload));
  } else {
    sink_delta(sink);
  }
  free_buffer(&messages->payload);
  messages->inside = false;
  messages->skip = CHECKSUM;
}

bool messages_push(Messages *messages, Str body, Sink *sink) {
  u32 at = 0;
  while (at < body.size && !messages->over) {
    u32 rest = body.size - at, step;
    if (messages->skip) {
      step = messages->skip < rest ? messages->skip : rest;
      messages->skip -= step;
    } else if (!messages->inside) {
      step = PRELUDE - messages->head_size < rest ? PRELUDE - messages->head_size : rest;
      copy(messages->head + messages->head_size, body.at + at, step);
      messages->head_size += step;
      if (messages->head_size == PRELUDE) prelude(messages);
    } else {
      step = messages->left < rest ? messages->left : rest;
      if (messages->kept) add(&messages->payload, cut(body, at, at + step));
      messages->left -= step;
    }
    at += step;
    if (messages->inside && !messages->left && !messages->skip && !messages->over) finish(messages, sink);
  }
  return !messages->over;
}
