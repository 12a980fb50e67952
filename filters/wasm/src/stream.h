// stream: plugins and their streams, by the ids that the host gives them, and what every step of a stream can do.
#ifndef STREAM_H
#define STREAM_H

#include "response.h"
#include "rls.h"

// A plugin, by the id of its root context. It goes when the host and all of its streams have let it go.
typedef struct root {
  struct root *next;
  u32 id, streams;
  bool gone;
  Contexts contexts;
  u32 queue; // of a gate
  struct stream *watched;
  bool ticks;
} Root;

typedef struct stream {
  struct stream *next;
  u32 id;
  Root *root;
  Known known;
  bool waits; // for the body of the request
  // While it is watched: its neighbours, and for how many ticks still (0: for as long as it takes).
  bool watched;
  struct stream *before, *after;
  u32 patience;
  Opened opened;
  Reader *reader;
  // A call that is under way, and what it is about.
  enum { IDLE, CHECKING, BOOKING, LOOKING, SEEING } calling;
  struct stream *next_calling;
  u32 token, looks;
  u64 begun;
  Charges charges;
} Stream;

// NULL for one that nobody has told of, or that has gone.
Root *root_of(u32 id);
Stream *stream_of(u32 id);
// A property; false when nobody has set it.
bool stream_property(Str path, Str *value);
// Of the route that the stream is on now.
const Context *stream_context(const Root *root);
// A step is over: what failed in it is noted.
bool step_failed(Known *known);
// What the host has of a body, or of a configuration.
Str stream_bytes(u32 type, u32 size);
// Answers in the place of the upstream. `details` are for the access log: that it is ours, or the proxy's words for what
// it answered itself.
void stream_send(u32 status, Str details, Str body, Str headers);

#define OURS S("wasm_response")

#endif
