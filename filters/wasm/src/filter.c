// filter: the entry points. What a request costs when something fails is set first: a fault never breaks traffic and
// never frees it. What fails is left alone (`Known.fault`) until the step that it is part of is over, and noted then.

#include "admission.h"
#include "calls.h"
#include "gate.h"
#include "identity.h"
#include "number.h"
#include "path.h"
#include "request.h"
#include "settle.h"

#define UNKNOWN_USER S("Nobody knows who sends this request: it has no credentials, or they name no user.")

static void set_bytes(Known *known, u32 type, u32 size, Str content) {
  if (known->fault) return;
  known->fault = proxy_set_buffer_bytes(type, 0, size, content.at, content.size) != OK;
}

// Methods that cost no tokens and whose body, if any, is not waited for: an upgraded one never ends.
static bool metered(const Headers *headers) {
  Str method = header_text(headers, S(":method"));
  return !same(method, S("GET")) && !same(method, S("HEAD")) && !same(method, S("OPTIONS")) &&
         !same(method, S("CONNECT"));
}

static void respond(const Stream *stream, u32 status, Kind kind, Str message) {
  Str body = error_body(stream->known.api, kind, message, (Details){0});
  Str headers = PACKED({S("content-type"), S("application/json")});
  stream_send(status, OURS, body, headers);
}

// -- the request ----------------------------------------------------------------------------------------------------

// What is known before the body: how the path ends, the model that it names.
typedef struct {
  Str ends;
  bool has_model;
  Str model;
} Located;

static Located located(const Headers *headers) {
  Located out = {0};
  out.ends = path_read(header_text(headers, S(":path")), &out.has_model, &out.model);
  return out;
}

static void settle_all(Headers *headers) {
  const Context *context = headers->known->context;
  for (u32 i = 0; i < context->defaults; i++) {
    header_settle(headers, context->fallback[i].name, &context->fallback[i].value, NULL);
  }
  // Answers have to come plain to be read.
  header_remove(headers, S("accept-encoding"));
}

// `size` is that of the body; `unread`: it was not held.
static void read(Stream *stream, Headers *headers, u64 size, bool unread) {
  Known *known = &stream->known;
  const Context *context = known->context;
  Located at = located(headers);
  Str *in_path = at.has_model ? &at.model : NULL;
  if (request_counts(at.ends)) {
    set_text(known, S("unestimated"), S("true"));
    known->unestimated = !known->fault;
  }
  Asked asked;
  if (unread || !header_plain(headers)) {
    asked = request_unread(size, in_path);
  } else {
    Str body = stream_bytes(REQUEST_BODY, (u32)size);
    asked = request_read(body, at.ends, in_path, header_text(headers, S("content-type")), context);
  }
  header_set(headers, context->model_header, asked.model);
  meter_asked(known, asked.model, asked.estimate);
  hold_set(known, asked.estimate, asked.longest < 0 ? context->max_tokens : asked.longest);
  if (!asked.rewritten) return;
  set_bytes(known, REQUEST_BODY, (u32)size, asked.body);
  header_set(headers, S("content-length"), decimal(asked.body.size));
  if (asked.forced) {
    set_text(known, S("forced_usage"), S("true"));
    known->forced = !known->fault;
  }
}

// After the body, if it was read. Says whether the request goes on now.
static bool place(Stream *stream, Headers *headers, bool reads) {
  Known *known = &stream->known;
  const Context *context = known->context;
  if (context->backend_header.size) {
    Str model;
    bool any = reads && header_get(headers, context->model_header, &model);
    Str why = backend_choose(headers, any ? &model : NULL);
    if (!step_failed(known) && why.size) {
      respond(stream, 404, NO_MODEL, why);
      return false;
    }
  }
  settle_note(known, headers);
  step_failed(known);
  if (!(reads && context->prepay.there && calls_prepay(stream, headers))) return true;
  gate_expect(stream, 2 * context->prepay.timeout); // to check, and then to book
  return false;
}

static bool read_and_place(Stream *stream, Headers *headers, u64 size, bool unread) {
  stream->waits = false;
  read(stream, headers, size, unread);
  step_failed(&stream->known);
  return place(stream, headers, true) && gate_release(stream);
}

// Whatever can fail comes after what it costs when it does. Says whether anybody knows who asks.
static bool begin(Stream *stream, Headers *headers) {
  Known *known = &stream->known;
  const Context *context = known->context;
  // A check whose hits nobody has set is passed over.
  hold_set(known, 0, context->max_tokens);
  step_failed(known);
  meter_default(known);
  step_failed(known);
  header_set(headers, context->model_header, S("unknown"));
  step_failed(known);
  identity_cover(headers);
  step_failed(known);
  if (context->prepay.there) prepaid_cover(headers);
  Located at = located(headers);
  Str api = request_api(at.ends);
  if (!same(api, known->api)) meter_api(known, api);
  meter_no_costs(known);
  step_failed(known);
  Str metadata = context->told ? identity_metadata() : (Str){0};
  for (u32 i = 0; i < context->told; i++) {
    identity_tell(headers, &context->tell[i], metadata);
    step_failed(known);
  }
  if (!context->identity.size) return true;
  bool identified = header_settle(headers, context->identity, NULL, NULL);
  return !step_failed(known) && identified;
}

u32 EXPORT(proxy_on_request_headers)(u32 id, u32 count, u32 end) {
  (void)count;
  Stream *stream = stream_of(id);
  if (!stream) return CONTINUE;
  enter();
  if (stream->root->contexts.gate) {
    u32 held = gate_hold(stream);
    leave();
    return held;
  }
  Headers headers;
  Known *known = &stream->known;
  known_move(known, stream_context(stream->root));
  known->seen = true;
  headers_read(&headers, REQUEST_HEADERS, known);
  u32 out = CONTINUE;
  if (!begin(stream, &headers)) {
    respond(stream, 401, UNIDENTIFIED, UNKNOWN_USER);
    out = STOP;
  } else {
    settle_all(&headers);
    step_failed(known);
    u64 size = 0;
    to_whole(header_text(&headers, S("content-length")), &size);
    if (!metered(&headers)) {
      set_text(known, S("unmetered"), S("true"));
      known->unmetered = !known->fault;
      step_failed(known);
      hold_set(known, 0, 0);
      step_failed(known);
      out = place(stream, &headers, false) ? CONTINUE : STOP;
    } else if ((double)size > known->context->body_limit) {
      out = read_and_place(stream, &headers, size, true) ? CONTINUE : STOP;
    } else if (end) {
      out = read_and_place(stream, &headers, 0, false) ? CONTINUE : STOP;
    } else {
      stream->waits = true;
      out = known->context->gated ? gate_shut(stream, &headers) : STOP;
    }
  }
  leave();
  return out;
}

u32 EXPORT(proxy_on_request_body)(u32 id, u32 size, u32 end) {
  Stream *stream = stream_of(id);
  if (!stream) return CONTINUE;
  if (!stream->waits) return stream->calling ? STOP : CONTINUE;
  if (!end) return STOP;
  enter();
  Headers headers;
  headers_read(&headers, REQUEST_HEADERS, &stream->known);
  bool goes_on = read_and_place(stream, &headers, size, false);
  leave();
  return goes_on ? CONTINUE : STOP;
}

u32 EXPORT(proxy_on_request_trailers)(u32 id, u32 count) {
  (void)count;
  Stream *stream = stream_of(id);
  if (!stream) return CONTINUE;
  if (!stream->waits) return stream->calling ? STOP : CONTINUE;
  enter();
  Headers headers;
  headers_read(&headers, REQUEST_HEADERS, &stream->known);
  // All of the body is held; how much that is, only the host knows.
  Str body = {0};
  proxy_get_buffer_bytes(REQUEST_BODY, 0, 0x7fffffff, &body.at, &body.size);
  bool goes_on = read_and_place(stream, &headers, body.size, false);
  leave();
  return goes_on ? CONTINUE : STOP;
}

// -- the answer -----------------------------------------------------------------------------------------------------

// The proxy's own answer had no body, and the host lets nobody add one but by a new answer.
static void answer_anew(Stream *stream, Headers *headers, Kind kind, Str body) {
  u32 kept = 0;
  for (u32 i = 0; i < headers->count; i++) {
    Pair one = headers->pair[i];
    if (byte(one.name, 0) != ':' && !same(one.name, S("content-length"))) headers->pair[kept++] = one;
  }
  Str packed = headers_packed(headers->pair, kept);
  Str details = kind == REFUSED ? S("request_rate_limited") : kind == UNAVAILABLE ? S("rate_limiter_error") : OURS;
  stream_send((u32)stream->opened.status, details, body, packed);
}

// Writes what the proxy answers itself; `at_headers`: it has no body.
static bool write_own(Stream *stream, Headers *headers, u32 size, bool at_headers) {
  Pair more[REFUSAL];
  u32 count;
  Kind kind = stream->opened.own;
  Str out, said = stream_bytes(RESPONSE_BODY, size);
  bool ours = response_refuse(&stream->opened, &stream->known, headers, said, &out, more, &count);
  stream->opened.own = NO_KIND;
  if (step_failed(&stream->known) || !ours) return false;
  if (at_headers) {
    answer_anew(stream, headers, kind, out);
    return true;
  }
  header_set(headers, S("content-length"), decimal(out.size));
  set_bytes(&stream->known, RESPONSE_BODY, size, out);
  step_failed(&stream->known);
  return true;
}

u32 EXPORT(proxy_on_response_headers)(u32 id, u32 count, u32 end) {
  (void)count;
  Stream *stream = stream_of(id);
  if (!stream || stream->root->contexts.gate) return CONTINUE;
  enter();
  // The proxy, or a gate, has answered for a request that still waits for a call.
  if (stream->calling) calls_abandon(stream);
  Headers headers;
  Known *known = &stream->known;
  headers_read(&headers, RESPONSE_HEADERS, known);
  // The request may have gone to another route than it came from.
  const Context *context = stream_context(stream->root);
  if (context != known->context) known_move(known, context);
  if (!stream->reader) stream->reader = take(sizeof(Reader));
  stream->opened = response_open(stream->reader, known, &headers);
  if (step_failed(known)) {
    stream->opened.own = NO_KIND;
    stream->opened.reads = false;
  }
  // What the proxy answers itself has no body where this filter could not wait for one.
  if (!end && known->context->gated) stream->opened.own = NO_KIND;
  u32 out = CONTINUE;
  if (stream->opened.own) {
    out = end ? (write_own(stream, &headers, 0, true) ? STOP : CONTINUE) : STOP;
  } else if (stream->opened.reads && end) {
    response_close(stream->reader);
    out = calls_book(stream) ? STOP : CONTINUE;
  }
  leave();
  return out;
}

u32 EXPORT(proxy_on_response_body)(u32 id, u32 size, u32 end) {
  Stream *stream = stream_of(id);
  if (!stream) return CONTINUE;
  if (stream->calling) return WATERMARK;
  if (stream->opened.own && !end) return STOP;
  Reader *reader = stream->reader;
  bool reads = stream->opened.reads && !reader->finished && !reader->broken;
  if (!stream->opened.own && !reads) return CONTINUE;
  enter();
  u32 out = CONTINUE;
  if (stream->opened.own) {
    Headers headers;
    headers_read(&headers, RESPONSE_HEADERS, &stream->known);
    write_own(stream, &headers, size, false);
  } else {
    Str body = stream_bytes(RESPONSE_BODY, size), sent = response_pass(reader, body);
    bool last = !reader->broken && (end || response_complete(reader, sent));
    if (last) {
      Str rest = response_close(reader);
      if (rest.size) sent = JOIN(sent, rest);
    }
    if (!same(sent, body)) {
      set_bytes(&stream->known, RESPONSE_BODY, size, sent);
      step_failed(&stream->known);
    }
    if (last && calls_book(stream)) out = WATERMARK;
  }
  leave();
  return out;
}

u32 EXPORT(proxy_on_response_trailers)(u32 id, u32 count) {
  (void)count;
  Stream *stream = stream_of(id);
  if (!stream) return CONTINUE;
  if (stream->calling) return STOP;
  Reader *reader = stream->reader;
  bool reads = stream->opened.reads && !reader->finished && !reader->broken;
  u32 out = CONTINUE;
  enter();
  if (stream->opened.own) {
    Headers headers;
    Str body = {0};
    headers_read(&headers, RESPONSE_HEADERS, &stream->known);
    proxy_get_buffer_bytes(RESPONSE_BODY, 0, 0x7fffffff, &body.at, &body.size);
    write_own(stream, &headers, body.size, false);
  } else if (reads) {
    // Half an event, which a client has no use for, is lost: the body has ended.
    response_close(reader);
    out = calls_book(stream) ? STOP : CONTINUE;
  }
  leave();
  return out;
}
