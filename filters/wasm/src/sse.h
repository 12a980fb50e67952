// sse: the line protocol of event streams, in pieces cut at any byte. Lines end in LF, CRLF or CR; an event ends at an
// empty line. It tells a sink of every event's data, and of one over the cap in passing.
//
// Reading only (`hold` false) it keeps a partial line and the data of an unfinished event, and the bytes go their way
// untouched. Rewriting (`hold` true) it also keeps the raw lines of the unfinished event.
#ifndef SSE_H
#define SSE_H

#include "oversize.h"

typedef struct {
  bool hold;
  bool first; // a BOM may lead the first line
  enum { NO_CR, KEPT_CR, CUT_CR } cr; // what became of the line whose CR ended the last piece; a LF may follow
  Buffer line;    // what is there of the line being read
  u32 size;       // bytes of the event so far, without line ends
  bool is_over;   // the event is over the cap: what passes on its data
  Oversize over;
  bool has_data;
  Buffer data;    // the values of its data lines, joined
  bool single;    // there is one data line
  Buffer raw;     // held lines of the event with their ends
  u32 value;      // where in them the value of the one data line begins
} Sse;

void sse_open(Sse *sse, bool hold);
// Takes the next piece. Rewriting it adds the bytes to send on to `out`, which is NULL otherwise.
void sse_push(Sse *sse, Str body, Sink *sink, Buffer *out);
// The end of the stream: what is whole in an event that nothing ended still counts.
void sse_finish(Sse *sse, Sink *sink, Buffer *out);
// What is held, for when the next push fails: nothing of the stream may get lost.
Str sse_held(const Sse *sse);
void sse_free(Sse *sse);

#endif
