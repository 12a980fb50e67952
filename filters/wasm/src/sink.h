// sink: what an answer's framing tells of what it found.
#ifndef SINK_H
#define SINK_H

#include "bytes.h"

typedef struct events Sink;

// What becomes of an event: it goes on, is taken out, or all of it but the bytes from `from` up to `to` goes on.
typedef struct {
  enum { KEEP, DROP, CUT } what;
  u32 from, to;
} Verdict;

Verdict sink_event(Sink *sink, Str data);
// A usage object that is the value of one of `usage`, `usageMetadata`, `meta` (`wrapped`) and nothing else.
void sink_usage(Sink *sink, bool wrapped, Str data);
// The next piece of the data of an event that is not kept, and its end.
void sink_pass(Sink *sink, Str piece);
void sink_lost(Sink *sink);
// A message that is too long to keep.
void sink_delta(Sink *sink);

#endif
