// Calls that are under way, and the steps that wait for them.

#include "calls.h"

#include "admission.h"
#include "gate.h"
#include "settle.h"

// How often to look whether a charge has arrived, at the very most: nearly always it has at once.
enum { MAX_LOOKS = 1000 };
enum { BUCKETS = 1024 };

// Streams with a call under way, by its token: the host gives answers to the plugin, whichever stream has asked.
static Stream *calling[BUCKETS];

static u64 milliseconds(void) {
  u64 now = 0;
  proxy_get_current_time_nanoseconds(&now);
  return now / 1000000;
}

static void calls_forget(Stream *stream) {
  Stream **at = &calling[stream->token % BUCKETS];
  while (*at && *at != stream) at = &(*at)->next_calling;
  if (*at) *at = stream->next_calling;
}

static void calls_end(Stream *stream) {
  charges_free(&stream->charges);
  stream->calling = IDLE;
}

void calls_abandon(Stream *stream) {
  calls_forget(stream);
  calls_end(stream);
}

// Sends a call; false when that cannot be done.
static bool call(Stream *stream, u32 next, bool book) {
  if (rls_call(&stream->charges, book, stream->charges.calls->timeout, &stream->token)) {
    stream->calling = next;
    stream->next_calling = calling[stream->token % BUCKETS];
    calling[stream->token % BUCKETS] = stream;
    return true;
  }
  meter_note_fault(&stream->known, S("http call cluster invalid"));
  calls_end(stream);
  return false;
}

bool calls_prepay(Stream *stream, const Headers *headers) {
  bool any = prepaid_prepare(&stream->charges, headers);
  if (!step_failed(&stream->known) && any) return call(stream, CHECKING, true);
  calls_end(stream);
  return false;
}

static void refuse(Stream *stream, const Told_of *told) {
  const Context *context = stream->known.context;
  const Limit *limit = told->of && told->of <= context->limits ? &context->limit[told->of - 1] : NULL;
  if (limit && !limit->whole) limit = NULL;
  Seen seen = {.reset = told->status.reset};
  Pair more[REFUSAL];
  u32 count;
  Str body = limits_refusal(limit, &seen, stream->known.model, stream->known.api, more, &count);
  Str packed = headers_packed(more, count);
  calls_end(stream);
  stream_send(429, OURS, body, packed);
}

// The check has come back. Says whether the request goes on.
static bool checked(Stream *stream, bool answered, u32 size) {
  Told_of told;
  Headers headers;
  if (!prepaid_judge(&stream->charges, answered, size, &told)) {
    calls_end(stream);
    return true;
  }
  if (told.any && told.status.over) {
    refuse(stream, &told);
    return false;
  }
  headers_read(&headers, REQUEST_HEADERS, &stream->known);
  bool books = prepaid_admit(&stream->charges, &headers, &told);
  if (!step_failed(&stream->known) && books && call(stream, BOOKING, true)) return false;
  calls_end(stream);
  return true;
}

bool calls_book(Stream *stream) {
  if (!stream->reader->settles) return false;
  bool any = settle_prepare(&stream->charges, &stream->known);
  if (!step_failed(&stream->known) && any) return call(stream, LOOKING, false);
  calls_end(stream);
  return false;
}

void calls_settle(Stream *stream) {
  if (!stream->known.context->settle.rest) return;
  calls_abandon(stream);
  bool any = settle_prepare(&stream->charges, &stream->known);
  if (!step_failed(&stream->known) && any && !settle_rest(&stream->charges)) {
    meter_note_fault(&stream->known, S("a charge could not be sent"));
  }
  calls_end(stream);
}

// A look has come back. Says whether the answer goes on.
static bool looked(Stream *stream, bool answered, u32 size) {
  if (stream->calling == LOOKING) {
    bool sent = settle_charge(&stream->charges, &stream->known, answered, size);
    if (step_failed(&stream->known) || !sent) {
      calls_end(stream);
      return true;
    }
    stream->looks = 0;
    stream->begun = milliseconds();
  } else if (settle_seen(&stream->charges, answered, size)) {
    calls_end(stream);
    return true;
  }
  bool again = stream->looks < MAX_LOOKS && milliseconds() - stream->begun < stream->charges.calls->timeout;
  stream->looks++;
  if (again && call(stream, SEEING, false)) return false;
  calls_end(stream);
  return true;
}

void EXPORT(proxy_on_http_call_response)(u32 id, u32 token, u32 header_count, u32 body_size, u32 trailers) {
  (void)id, (void)trailers;
  Stream *stream = calling[token % BUCKETS];
  while (stream && stream->token != token) stream = stream->next_calling;
  // A charge that was sent, or a client that has left: nobody waits.
  if (!stream) return;
  enter();
  calls_forget(stream);
  proxy_set_effective_context(stream->id);
  bool answered = header_count > 0, request = true, goes_on = true;
  switch (stream->calling) {
    case CHECKING: goes_on = checked(stream, answered, body_size); break;
    case BOOKING:
      prepaid_note(&stream->charges, &stream->known, answered, body_size);
      step_failed(&stream->known);
      calls_end(stream);
      break;
    default:
      request = false;
      goes_on = looked(stream, answered, body_size);
  }
  if (goes_on && (!request || gate_release(stream))) proxy_continue_stream(request ? REQUEST_STREAM : RESPONSE_STREAM);
  leave();
}
