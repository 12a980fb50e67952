// filter: the entry points. What a request costs when something fails is set first: a fault never breaks traffic and
// never frees it. What fails is left alone (`Known.fault`) until the step that it is part of is over, and noted then.

#include "admission.h"
#include "identity.h"
#include "number.h"
#include "path.h"
#include "request.h"
#include "response.h"

// How often to look whether a charge has arrived, at the very most: nearly always it has at once.
enum { MAX_LOOKS = 1000 };
enum { BUCKETS = 1024 };
#define UNKNOWN_USER S("Nobody knows who sends this request: it has no credentials, or they name no user.")

// A plugin, by the id of its root context. It goes when the host and all of its streams have let it go.
typedef struct root {
  struct root *next;
  u32 id, streams;
  bool gone;
  Contexts contexts;
} Root;

typedef struct stream {
  struct stream *next;
  u32 id;
  Root *root;
  Known known;
  bool waits; // for the body of the request
  Opened opened;
  Reader *reader;
  // A call that is under way, and what it is about.
  enum { IDLE, CHECKING, BOOKING, LOOKING, SEEING } calling;
  struct stream *next_calling;
  u32 token, looks;
  u64 begun;
  Charges charges;
} Stream;

static Root *roots;
static Stream *streams[BUCKETS];
// Those with a call under way, by its token: the host gives answers to the plugin, whichever stream has asked.
static Stream *calling[BUCKETS];

static Root *root_of(u32 id) {
  for (Root *root = roots; root; root = root->next) {
    if (root->id == id && !root->gone) return root;
  }
  return NULL;
}

static Stream *stream_of(u32 id) {
  for (Stream *stream = streams[id % BUCKETS]; stream; stream = stream->next) {
    if (stream->id == id) return stream;
  }
  return NULL;
}

static void let_go(Root *root) {
  if (!root->gone || root->streams) return;
  Root **at = &roots;
  while (*at != root) at = &(*at)->next;
  *at = root->next;
  contexts_free(&root->contexts);
  give(root);
}

// A step is over: what failed in it is noted.
static bool failed(Known *known) {
  if (!known->fault) return false;
  meter_note_fault(known, S("the proxy or the route refused a step of the filter"));
  return true;
}

static Str bytes(u32 type, u32 size) {
  Str out = {0};
  return size && proxy_get_buffer_bytes(type, 0, size, &out.at, &out.size) == OK ? out : (Str){0};
}

static void set_bytes(Known *known, u32 type, u32 size, Str content) {
  if (known->fault) return;
  known->fault = proxy_set_buffer_bytes(type, 0, size, content.at, content.size) != OK;
}

static u64 milliseconds(void) {
  u64 now = 0;
  proxy_get_current_time_nanoseconds(&now);
  return now / 1000000;
}

static const Context *current_context(const Root *root) {
  Str name = {0}, path = S("xds\0route_name");
  if (proxy_get_property(path.at, path.size, &name.at, &name.size) != OK) name = (Str){0};
  return context_of(&root->contexts, name);
}

// Methods that cost no tokens and whose body, if any, is not waited for: an upgraded one never ends.
static bool metered(const Headers *headers) {
  Str method = header_text(headers, S(":method"));
  return !same(method, S("GET")) && !same(method, S("HEAD")) && !same(method, S("OPTIONS")) &&
         !same(method, S("CONNECT"));
}

// Details of an answer, for the access log: that it is ours, or the proxy's words for what it answered itself.
#define OURS S("wasm_response")

static void send(u32 status, Str details, Str body, Str headers) {
  proxy_send_local_response(status, details.at, details.size, body.at, body.size, headers.at, headers.size, ~0u);
}

static void respond(const Stream *stream, u32 status, Kind kind, Str message) {
  Str body = error_body(stream->known.api, kind, message, (Details){0});
  Str headers = PACKED({S("content-type"), S("application/json")});
  send(status, OURS, body, headers);
}

// -- calls ----------------------------------------------------------------------------------------------------------

// The call under way has come back, or nobody waits for it any more.
static void forget_call(Stream *stream) {
  Stream **at = &calling[stream->token % BUCKETS];
  while (*at && *at != stream) at = &(*at)->next_calling;
  if (*at) *at = stream->next_calling;
}

static void end_calls(Stream *stream) {
  charges_free(&stream->charges);
  stream->calling = IDLE;
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
  end_calls(stream);
  return false;
}

// Admits the request and books its prompt, where the route has the filter do that. Says whether it has to wait.
static bool prepay(Stream *stream, const Headers *headers) {
  bool any = prepaid_prepare(&stream->charges, headers);
  if (!failed(&stream->known) && any) return call(stream, CHECKING, true);
  end_calls(stream);
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
  end_calls(stream);
  send(429, OURS, body, packed);
}

// The check has come back. Says whether the request goes on.
static bool checked(Stream *stream, bool answered, u32 size) {
  Told_of told;
  Headers headers;
  if (!prepaid_judge(&stream->charges, answered, size, &told)) {
    end_calls(stream);
    return true;
  }
  if (told.any && told.status.over) {
    refuse(stream, &told);
    return false;
  }
  headers_read(&headers, REQUEST_HEADERS, &stream->known);
  bool books = prepaid_admit(&stream->charges, &headers, &told);
  if (!failed(&stream->known) && books && call(stream, BOOKING, true)) return false;
  end_calls(stream);
  return true;
}

// Charges the answer now, where the route wants that. Says whether the piece in hand has to wait.
static bool book(Stream *stream) {
  if (!stream->reader->settles) return false;
  bool any = settle_prepare(&stream->charges, &stream->known);
  if (!failed(&stream->known) && any) return call(stream, LOOKING, false);
  end_calls(stream);
  return false;
}

// A look has come back. Says whether the answer goes on.
static bool looked(Stream *stream, bool answered, u32 size) {
  if (stream->calling == LOOKING) {
    bool sent = settle_charge(&stream->charges, &stream->known, answered, size);
    if (failed(&stream->known) || !sent) {
      end_calls(stream);
      return true;
    }
    stream->looks = 0;
    stream->begun = milliseconds();
  } else if (settle_seen(&stream->charges, answered, size)) {
    end_calls(stream);
    return true;
  }
  bool again = stream->looks < MAX_LOOKS && milliseconds() - stream->begun < stream->charges.calls->timeout;
  stream->looks++;
  if (again && call(stream, SEEING, false)) return false;
  end_calls(stream);
  return true;
}

void EXPORT(proxy_on_http_call_response)(u32 id, u32 token, u32 header_count, u32 body_size, u32 trailers) {
  (void)id, (void)trailers;
  Stream *stream = calling[token % BUCKETS];
  while (stream && stream->token != token) stream = stream->next_calling;
  // A charge that was sent, or a client that has left: nobody waits.
  if (!stream) return;
  enter();
  forget_call(stream);
  proxy_set_effective_context(stream->id);
  bool answered = header_count > 0, request = true, goes_on = true;
  switch (stream->calling) {
    case CHECKING: goes_on = checked(stream, answered, body_size); break;
    case BOOKING:
      prepaid_note(&stream->charges, &stream->known, answered, body_size);
      failed(&stream->known);
      end_calls(stream);
      break;
    default:
      request = false;
      goes_on = looked(stream, answered, body_size);
  }
  if (goes_on) proxy_continue_stream(request ? REQUEST_STREAM : RESPONSE_STREAM);
  leave();
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
    Str body = bytes(REQUEST_BODY, (u32)size);
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
    if (!failed(known) && why.size) {
      respond(stream, 404, NO_MODEL, why);
      return false;
    }
  }
  settle_note(known, headers);
  failed(known);
  return !(reads && context->prepay.there && prepay(stream, headers));
}

static bool read_and_place(Stream *stream, Headers *headers, u64 size, bool unread) {
  stream->waits = false;
  read(stream, headers, size, unread);
  failed(&stream->known);
  return place(stream, headers, true);
}

// Whatever can fail comes after what it costs when it does. Says whether anybody knows who asks.
static bool begin(Stream *stream, Headers *headers) {
  Known *known = &stream->known;
  const Context *context = known->context;
  // A check whose hits nobody has set is passed over.
  hold_set(known, 0, context->max_tokens);
  failed(known);
  meter_default(known);
  failed(known);
  header_set(headers, context->model_header, S("unknown"));
  failed(known);
  identity_cover(headers);
  failed(known);
  if (context->prepay.there) prepaid_cover(headers);
  Located at = located(headers);
  Str api = request_api(at.ends);
  if (!same(api, known->api)) meter_api(known, api);
  meter_no_costs(known);
  failed(known);
  Str metadata = context->told ? identity_metadata() : (Str){0};
  for (u32 i = 0; i < context->told; i++) {
    identity_tell(headers, &context->tell[i], metadata);
    failed(known);
  }
  if (!context->identity.size) return true;
  bool identified = header_settle(headers, context->identity, NULL, NULL);
  return !failed(known) && identified;
}

u32 EXPORT(proxy_on_request_headers)(u32 id, u32 count, u32 end) {
  (void)count;
  Stream *stream = stream_of(id);
  if (!stream) return CONTINUE;
  enter();
  Headers headers;
  Known *known = &stream->known;
  known_move(known, current_context(stream->root));
  known->seen = true;
  headers_read(&headers, REQUEST_HEADERS, known);
  u32 out = CONTINUE;
  if (!begin(stream, &headers)) {
    respond(stream, 401, UNIDENTIFIED, UNKNOWN_USER);
    out = STOP;
  } else {
    settle_all(&headers);
    failed(known);
    u64 size = 0;
    to_whole(header_text(&headers, S("content-length")), &size);
    if (!metered(&headers)) {
      set_text(known, S("unmetered"), S("true"));
      known->unmetered = !known->fault;
      failed(known);
      hold_set(known, 0, 0);
      failed(known);
      out = place(stream, &headers, false) ? CONTINUE : STOP;
    } else if ((double)size > known->context->body_limit) {
      out = read_and_place(stream, &headers, size, true) ? CONTINUE : STOP;
    } else if (end) {
      out = read_and_place(stream, &headers, 0, false) ? CONTINUE : STOP;
    } else {
      stream->waits = true;
      out = STOP;
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
  send((u32)stream->opened.status, details, body, packed);
}

// Writes what the proxy answers itself; `at_headers`: it has no body.
static bool write_own(Stream *stream, Headers *headers, u32 size, bool at_headers) {
  Pair more[REFUSAL];
  u32 count;
  Kind kind = stream->opened.own;
  Str out, said = bytes(RESPONSE_BODY, size);
  bool ours = response_refuse(&stream->opened, &stream->known, headers, said, &out, more, &count);
  stream->opened.own = NO_KIND;
  if (failed(&stream->known) || !ours) return false;
  if (at_headers) {
    answer_anew(stream, headers, kind, out);
    return true;
  }
  header_set(headers, S("content-length"), decimal(out.size));
  set_bytes(&stream->known, RESPONSE_BODY, size, out);
  failed(&stream->known);
  return true;
}

u32 EXPORT(proxy_on_response_headers)(u32 id, u32 count, u32 end) {
  (void)count;
  Stream *stream = stream_of(id);
  if (!stream) return CONTINUE;
  enter();
  Headers headers;
  Known *known = &stream->known;
  headers_read(&headers, RESPONSE_HEADERS, known);
  // The request may have gone to another route than it came from.
  const Context *context = current_context(stream->root);
  if (context != known->context) known_move(known, context);
  if (!stream->reader) stream->reader = take(sizeof(Reader));
  stream->opened = response_open(stream->reader, known, &headers);
  if (failed(known)) {
    stream->opened.own = NO_KIND;
    stream->opened.reads = false;
  }
  u32 out = CONTINUE;
  if (stream->opened.own) {
    out = end ? (write_own(stream, &headers, 0, true) ? STOP : CONTINUE) : STOP;
  } else if (stream->opened.reads && end) {
    response_close(stream->reader);
    out = book(stream) ? STOP : CONTINUE;
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
    Str body = bytes(RESPONSE_BODY, size), sent = response_pass(reader, body);
    bool last = !reader->broken && (end || response_complete(reader, sent));
    if (last) {
      Str rest = response_close(reader);
      if (rest.size) sent = JOIN(sent, rest);
    }
    if (!same(sent, body)) {
      set_bytes(&stream->known, RESPONSE_BODY, size, sent);
      failed(&stream->known);
    }
    if (last && book(stream)) out = WATERMARK;
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
    out = book(stream) ? STOP : CONTINUE;
  }
  leave();
  return out;
}

// -- the life of a plugin and of a stream ---------------------------------------------------------------------------

void EXPORT(proxy_abi_version_0_2_1)(void) {}

void *EXPORT(proxy_on_memory_allocate)(u32 size) { return scratch(size); }

u32 EXPORT(proxy_on_vm_start)(u32 root, u32 size) {
  (void)root, (void)size;
  return true;
}

u32 EXPORT(proxy_on_configure)(u32 id, u32 size) {
  Root *root = root_of(id);
  if (!root) return false;
  enter();
  contexts_free(&root->contexts);
  contexts_read(&root->contexts, bytes(PLUGIN_CONFIGURATION, size));
  leave();
  return true;
}

void EXPORT(proxy_on_context_create)(u32 id, u32 parent) {
  if (!parent) {
    Root *root = take(sizeof(Root));
    root->id = id;
    root->next = roots;
    roots = root;
    return;
  }
  Root *root = root_of(parent);
  if (!root) return;
  Stream *stream = take(sizeof(Stream));
  stream->id = id;
  stream->root = root;
  root->streams++;
  if (!root->contexts.context) contexts_read(&root->contexts, (Str){0});
  known_open(&stream->known, context_of(&root->contexts, (Str){0}));
  stream->next = streams[id % BUCKETS];
  streams[id % BUCKETS] = stream;
}

u32 EXPORT(proxy_on_done)(u32 id) {
  (void)id;
  return true;
}

void EXPORT(proxy_on_log)(u32 id) { (void)id; }

void EXPORT(proxy_on_delete)(u32 id) {
  Root *root = root_of(id);
  if (root) {
    root->gone = true;
    let_go(root);
    return;
  }
  Stream **at = &streams[id % BUCKETS];
  while (*at && (*at)->id != id) at = &(*at)->next;
  Stream *stream = *at;
  if (!stream) return;
  *at = stream->next;
  forget_call(stream);
  if (stream->reader) {
    response_free(stream->reader);
    give(stream->reader);
  }
  charges_free(&stream->charges);
  known_free(&stream->known);
  root = stream->root;
  root->streams--;
  give(stream);
  let_go(root);
}
