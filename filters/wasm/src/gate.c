#include "gate.h"

#include "number.h"
#include "watch.h"

#define COUNT S("gates")
// Properties. The reader's: that it wants the headers held, or for how long still (ms); what is to become of them.
#define SHUT S("gated")
#define EDITS S("gate_edits")
// The gate's: its queue and its stream, and then that it has let go.
#define GATE S("gate")
#define OPEN S("open")

// Ticks: that a call which has come back, or a gate that has to let go, may be late.
enum { GRACE = 10 };

// How many gates there have been: each takes the next number, whatever the others do at the same time. With 0 for `cas`
// the host would let the last one win.
static u32 number_taken(void) {
  for (;;) {
    Str last = {0};
    u32 cas = ~0u;
    u64 number = 0;
    if (proxy_get_shared_data(COUNT.at, COUNT.size, &last.at, &last.size, &cas) == OK) to_whole(last, &number);
    Str next = decimal(++number);
    if (proxy_set_shared_data(COUNT.at, COUNT.size, next.at, next.size, cas) == OK) return (u32)number;
  }
}

u32 gate_queue(void) {
  Str name = decimal(number_taken());
  u32 queue;
  if (proxy_register_shared_queue(name.at, name.size, &queue) != OK) stop();
  return queue;
}

static u32 fail(Stream *stream) {
  watch_end(stream);
  Str body = error_body(stream->known.api, UNAVAILABLE, S("The request could not be read."), (Details){0});
  stream_send(503, OURS, body, PACKED({S("content-type"), S("application/json")}));
  return STOP;
}

u32 gate_shut(Stream *reader, const Headers *headers) {
  Known *known = &reader->known;
  set_text(known, SHUT, S("yes"));
  if (known->fault) return fail(reader);
  Str packed = headers_packed(headers->pair, headers->count);
  u8 *kept = take_raw(packed.size);
  copy(kept, packed.at, packed.size);
  known->kept = (Str){kept, packed.size};
  return CONTINUE;
}

u32 gate_hold(Stream *gate) {
  Str shut;
  if (!stream_property(SHUT, &shut)) return CONTINUE;
  set_text(&gate->known, GATE, JOIN(decimal(gate->root->queue), S(" "), decimal(gate->id)));
  if (gate->known.fault) return fail(gate);
  watch_begin(gate, 0);
  return HOLD_ALL;
}

void gate_expect(Stream *reader, u32 milliseconds) {
  if (!reader->known.kept.size) return;
  set_text(&reader->known, SHUT, decimal(milliseconds));
  step_failed(&reader->known);
}

static bool left(Stream *reader) {
  Known *known = &reader->known;
  Str gate;
  u64 queue;
  if (!stream_property(GATE, &gate)) return false;
  u32 space = find_byte(gate, ' ', 0);
  if (!to_whole(cut(gate, 0, space), &queue)) return false;
  set_text(known, EDITS, all(&known->edits));
  give((void *)known->kept.at);
  free_buffer(&known->edits);
  known->kept = (Str){0};
  if (step_failed(known)) return false;
  Str number = from(gate, space + 1);
  proxy_enqueue_shared_queue((u32)queue, number.at, number.size);
  watch_begin(reader, GRACE);
  return true;
}

bool gate_release(Stream *reader) {
  if (!reader->known.kept.size || left(reader)) return true;
  fail(reader);
  return false;
}

// Makes the edits and lets go, once the reader has left them.
static void open(Stream *gate) {
  Str edits;
  if (!stream_property(EDITS, &edits)) return;
  set_text(&gate->known, GATE, OPEN);
  if (gate->known.fault || !headers_edit(edits)) {
    fail(gate);
    return;
  }
  watch_end(gate);
  proxy_continue_stream(REQUEST_STREAM);
}

static bool is_open(void) {
  Str gate;
  return stream_property(GATE, &gate) && same(gate, OPEN);
}

// A message says no more than whose turn it may be: one that is late, or was another machine's, does nothing.
void EXPORT(proxy_on_queue_ready)(u32 id, u32 queue) {
  (void)id;
  enter();
  for (Str message; proxy_dequeue_shared_queue(queue, &message.at, &message.size) == OK;) {
    u64 number;
    Stream *gate = to_whole(message, &number) ? stream_of((u32)number) : NULL;
    if (!gate || !gate->watched) continue;
    proxy_set_effective_context(gate->id);
    open(gate);
  }
  leave();
}

static void look(Stream *stream) {
  bool gate = stream->root->contexts.gate;
  proxy_set_effective_context(stream->id);
  if (gate) {
    open(stream);
  } else if (is_open()) {
    watch_end(stream);
  }
  if (!stream->watched) return;
  if (stream->patience) {
    if (!--stream->patience) fail(stream);
    return;
  }
  // The body takes its time. With it there the reader waits for no more than it has said.
  Str shut;
  u64 wait;
  if (stream_property(SHUT, &shut) && to_whole(shut, &wait)) stream->patience = (u32)(wait / TICK) + GRACE;
}

void EXPORT(proxy_on_tick)(u32 id) {
  Root *root = root_of(id);
  if (!root) return;
  enter();
  for (Stream *stream = watch_first(root), *next; stream; stream = next) {
    next = stream->after;
    look(stream);
  }
  leave();
}
