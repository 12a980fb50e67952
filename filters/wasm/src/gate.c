#include "gate.h"

#include "number.h"

#define COUNT S("gates")
#define SHUT S("gated")
#define GATE S("gate")

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

static u32 fail(const Stream *stream) {
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
  return HOLD_ALL;
}

static bool sent(Known *known) {
  Str gate;
  u64 queue;
  if (!stream_property(GATE, &gate)) return false;
  u32 space = find_byte(gate, ' ', 0);
  if (!to_whole(cut(gate, 0, space), &queue)) return false;
  Str message = JOIN(from(gate, space + 1), S(" "), all(&known->edits));
  give((void *)known->kept.at);
  free_buffer(&known->edits);
  known->kept = (Str){0};
  return proxy_enqueue_shared_queue((u32)queue, message.at, message.size) == OK;
}

bool gate_release(Stream *reader) {
  if (!reader->known.kept.size || sent(&reader->known)) return true;
  fail(reader);
  return false;
}

void EXPORT(proxy_on_queue_ready)(u32 id, u32 queue) {
  (void)id;
  enter();
  for (Str message; proxy_dequeue_shared_queue(queue, &message.at, &message.size) == OK;) {
    u64 number = 0;
    u32 space = find_byte(message, ' ', 0);
    Stream *gate = to_whole(cut(message, 0, space), &number) ? stream_of((u32)number) : NULL;
    if (!gate) continue; // its client has left
    proxy_set_effective_context(gate->id);
    if (headers_edit(from(message, space + 1))) {
      proxy_continue_stream(REQUEST_STREAM);
    } else {
      fail(gate);
    }
  }
  leave();
}
