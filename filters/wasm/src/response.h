// response: meters one answer as it streams by, and takes out of it what the client did not ask for.
#ifndef RESPONSE_H
#define RESPONSE_H

#include "events.h"
#include "limits.h"
#include "messages.h"
#include "settle.h"
#include "sse.h"

typedef struct {
  Meter meter;
  Sink sink;       // is told what the answer says
  bool undecided;  // nobody knows yet what the answer is
  bool events;     // its type says that it is a stream of events
  bool hold;       // what the client did not ask for is taken out
  enum { UNREAD, MESSAGES_, LINES, JSON } kind; // what reads it
  Messages messages;
  Sse lines;
  Scan json;
  bool has_length;
  u64 length;
  bool settles;    // the filter charges it itself
  Buffer tail;     // the end of a piece that was too long to wait
  bool broken;     // the rest passes as it comes
  bool finished;
} Reader;

// What to do with the answer: pass it on, write it ourselves (`own`), or read it.
typedef struct {
  Kind own;
  u64 status;
  bool seen_any;
  Seen seen;
  bool reads;
} Opened;

// At the headers. `reader` is opened when it is to be used.
Opened response_open(Reader *reader, Known *known, Headers *headers);
// What the proxy answers itself: its body, and `more` headers of which there are `count`. False: an upstream wrote it.
bool response_refuse(const Opened *opened, Known *known, Headers *headers, Str body, Str *out, Pair *more, u32 *count);
// One piece of the body; gives the bytes that go on.
Str response_pass(Reader *reader, Str body);
// Is what was read so far all that a client reads? Where the filter charges, the piece that is to be sent has to wait,
// too, and must be able to.
bool response_complete(const Reader *reader, Str sent);
// After the last piece; gives bytes that were held.
Str response_close(Reader *reader);
void response_free(Reader *reader);

#endif
