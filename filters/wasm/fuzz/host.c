// host: the filter's C on this machine, under sanitizers, with whatever libFuzzer makes up as its input. It plays one
// stream: its configuration, metadata of other filters, a request, what the rate limit service answers, an answer. With
// the flag GATED there is a gate behind the filter, in the same machine; of every second body length the message is lost.
//
// Input: a byte of flags, then sections with two bytes of length before each: configuration, metadata, headers of the
// request (lines `name: value`), its body, what calls are answered with, headers of the answer, and its pieces.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../src/abi.h"

enum { HAS_BODY = 1, TRAILERS = 2, NO_CALLS = 4, NO_ANSWER = 8, ENDS = 16, FAILS = 32, ANSWER_ALONE = 64, GATED = 128 };
enum { ROOT = 1, STREAM = 2, GATE_ROOT = 3, GATE = 4, QUEUE = 7, MAX_HEADERS = 64, MAX_CALLS = 64 };

void *proxy_on_memory_allocate(u32 size);
u32 proxy_on_vm_start(u32 root, u32 size);
u32 proxy_on_configure(u32 root, u32 size);
void proxy_on_context_create(u32 id, u32 parent);
u32 proxy_on_request_headers(u32 id, u32 count, u32 end);
u32 proxy_on_request_body(u32 id, u32 size, u32 end);
u32 proxy_on_request_trailers(u32 id, u32 count);
u32 proxy_on_response_headers(u32 id, u32 count, u32 end);
u32 proxy_on_response_body(u32 id, u32 size, u32 end);
u32 proxy_on_response_trailers(u32 id, u32 count);
void proxy_on_http_call_response(u32 id, u32 token, u32 headers, u32 body, u32 trailers);
void proxy_on_queue_ready(u32 id, u32 queue);
void proxy_on_tick(u32 id);
u32 proxy_on_done(u32 id);
void proxy_on_log(u32 id);
void proxy_on_delete(u32 id);

typedef struct {
  const u8 *at;
  u32 size;
} Bytes;

typedef struct {
  u32 count;
  struct {
    u8 *name, *value;
    u32 name_size, size;
  } of[MAX_HEADERS];
} List;

static Bytes configuration, metadata, called;
static u8 *message;
static u32 message_size;
// Properties by which the filter and its gate know of each other.
enum { SHUT, EDITS, OPENS, BETWEEN };
static const char *const between[BETWEEN] = {"gated", "gate_edits", "gate"};
static struct {
  u8 *at;
  u32 size;
} told[BETWEEN];
static List request, answer, call_answer;
static u8 *body;
static u32 body_size, has_body, flags, calls, tokens[MAX_CALLS], clock, responded, failing, ticks;

static u8 *copied(const void *at, u32 size) {
  u8 *out = malloc(size ? size : 1);
  if (size) memcpy(out, at, size);
  return out;
}

static void add_header(List *list, const u8 *name, u32 name_size, const u8 *value, u32 size) {
  if (list->count == MAX_HEADERS) return;
  list->of[list->count].name = copied(name, name_size);
  list->of[list->count].name_size = name_size;
  list->of[list->count].value = copied(value, size);
  list->of[list->count++].size = size;
}

static void forget(List *list) {
  for (u32 i = 0; i < list->count; i++) {
    free(list->of[i].name);
    free(list->of[i].value);
  }
  list->count = 0;
}

static List *list_of(u32 type) { return type == REQUEST_HEADERS ? &request : type == CALL_HEADERS ? &call_answer : &answer; }

static u32 hand_over(const void *at, u32 size, const u8 **out, u32 *out_size) {
  u8 *room = proxy_on_memory_allocate(size);
  if (size) memcpy(room, at, size);
  *out = room;
  *out_size = size;
  return 0;
}

// Reads every byte that the filter hands over, so that a sanitizer sees it.
static u32 looked(const u8 *at, u32 size) {
  u32 sum = 0;
  for (u32 i = 0; i < size; i++) sum += at[i];
  return sum;
}

static volatile u32 seen;

u32 proxy_log(u32 level, const u8 *message, u32 size) {
  seen += level + looked(message, size);
  return 0;
}
u32 proxy_get_current_time_nanoseconds(u64 *time) {
  *time = 100000000ull * clock++;
  return 0;
}
static u32 between_filters(const u8 *path, u32 size) {
  u32 which = 0;
  while (which < BETWEEN && (strlen(between[which]) != size || memcmp(path, between[which], size))) which++;
  return which;
}
u32 proxy_get_property(const u8 *path, u32 path_size, const u8 **value, u32 *size) {
  seen += looked(path, path_size);
  if (path_size == 8 && !memcmp(path, "metadata", 8)) return hand_over(metadata.at, metadata.size, value, size);
  u32 which = between_filters(path, path_size);
  return which < BETWEEN && told[which].at ? hand_over(told[which].at, told[which].size, value, size) : 1;
}
u32 proxy_set_property(const u8 *path, u32 path_size, const u8 *value, u32 size) {
  seen += looked(path, path_size) + looked(value, size);
  u32 which = between_filters(path, path_size);
  if (which < BETWEEN) {
    free(told[which].at);
    told[which].at = copied(value, size);
    told[which].size = size;
  }
  return (flags & FAILS) && ++failing % 7 == 0 ? 10 : 0;
}
u32 proxy_get_buffer_bytes(u32 type, u32 start, u32 length, const u8 **bytes, u32 *size) {
  Bytes from = {body, body_size};
  if (type == PLUGIN_CONFIGURATION) from = configuration;
  if (type == CALL_BODY) from = called;
  if ((type == REQUEST_BODY || type == RESPONSE_BODY) && !has_body) return 1;
  if (start > from.size) return 2;
  u32 rest = from.size - start;
  return hand_over(from.at + start, length < rest ? length : rest, bytes, size);
}
u32 proxy_set_buffer_bytes(u32 type, u32 start, u32 length, const u8 *bytes, u32 size) {
  (void)type;
  if (!has_body || start || (length && length < body_size)) return 2;
  u8 *now = malloc(size + body_size + 1);
  if (size) memcpy(now, bytes, size);
  if (!length && body_size) memcpy(now + size, body, body_size);
  body_size = length ? size : size + body_size;
  free(body);
  body = now;
  return 0;
}
u32 proxy_get_header_map_pairs(u32 type, const u8 **pairs, u32 *size) {
  List *list = list_of(type);
  u32 total = 4;
  for (u32 i = 0; i < list->count; i++) total += 8 + list->of[i].name_size + list->of[i].size + 2;
  u8 *out = malloc(total), *at = out + 4 + 8 * list->count;
  memcpy(out, &list->count, 4);
  for (u32 i = 0; i < list->count; i++) {
    memcpy(out + 4 + 8 * i, &list->of[i].name_size, 4);
    memcpy(out + 8 + 8 * i, &list->of[i].size, 4);
    memcpy(at, list->of[i].name, list->of[i].name_size);
    at += list->of[i].name_size;
    *at++ = 0;
    memcpy(at, list->of[i].value, list->of[i].size);
    at += list->of[i].size;
    *at++ = 0;
  }
  hand_over(out, total, pairs, size);
  free(out);
  return 0;
}
u32 proxy_add_header_map_value(u32 type, const u8 *name, u32 name_size, const u8 *value, u32 size) {
  for (u32 i = 0; i < size; i++) {
    if (value[i] < 32 || value[i] == 127) return 2;
  }
  add_header(list_of(type), name, name_size, value, size);
  return 0;
}
u32 proxy_remove_header_map_value(u32 type, const u8 *name, u32 name_size) {
  List *list = list_of(type);
  u32 kept = 0;
  for (u32 i = 0; i < list->count; i++) {
    if (list->of[i].name_size == name_size && !memcmp(list->of[i].name, name, name_size)) {
      free(list->of[i].name);
      free(list->of[i].value);
    } else {
      list->of[kept++] = list->of[i];
    }
  }
  list->count = kept;
  return 0;
}
u32 proxy_send_local_response(u32 status, const u8 *details, u32 details_size, const u8 *content, u32 content_size,
                              const u8 *headers, u32 headers_size, u32 grpc) {
  seen += status + grpc + looked(details, details_size) + looked(content, content_size) + looked(headers, headers_size);
  responded = 1;
  return 0;
}
u32 proxy_http_call(const u8 *cluster, u32 cluster_size, const u8 *headers, u32 headers_size, const u8 *content,
                    u32 content_size, const u8 *trailers, u32 trailers_size, u32 timeout, u32 *token) {
  seen += timeout + looked(cluster, cluster_size) + looked(headers, headers_size) + looked(content, content_size) +
          looked(trailers, trailers_size);
  if ((flags & NO_CALLS) || calls == MAX_CALLS) return 2;
  *token = 100 + calls;
  tokens[calls++] = *token;
  return 0;
}
u32 proxy_continue_stream(u32 type) {
  seen += type;
  return 0;
}
u32 proxy_set_effective_context(u32 context) {
  if (context != STREAM && context != GATE) abort();
  return 0;
}
u32 proxy_set_tick_period_milliseconds(u32 period) {
  ticks += period ? 1 : -1;
  if (ticks > 2) abort();
  return 0;
}
u32 proxy_get_shared_data(const u8 *key, u32 key_size, const u8 **value, u32 *size, u32 *cas) {
  (void)value, (void)size, (void)cas;
  seen += looked(key, key_size);
  return 1;
}
u32 proxy_set_shared_data(const u8 *key, u32 key_size, const u8 *value, u32 size, u32 cas) {
  seen += cas + looked(key, key_size) + looked(value, size);
  return 0;
}
u32 proxy_register_shared_queue(const u8 *name, u32 size, u32 *queue) {
  seen += looked(name, size);
  *queue = QUEUE;
  return 0;
}
u32 proxy_enqueue_shared_queue(u32 queue, const u8 *content, u32 size) {
  if (queue != QUEUE || message) return 1;
  message = copied(content, size);
  message_size = size;
  return 0;
}
u32 proxy_dequeue_shared_queue(u32 queue, const u8 **content, u32 *size) {
  if (queue != QUEUE || !message) return 7;
  hand_over(message, message_size, content, size);
  free(message);
  message = NULL;
  return 0;
}

static Bytes section(const u8 **at, const u8 *end) {
  Bytes out = {*at, 0};
  if (end - *at < 2) {
    *at = end;
    return out;
  }
  u32 size = (*at)[0] | (u32)(*at)[1] << 8;
  *at += 2;
  out.at = *at;
  out.size = size < (u32)(end - *at) ? size : (u32)(end - *at);
  *at += out.size;
  return out;
}

static void read_headers(List *list, Bytes text) {
  for (u32 i = 0; i < text.size;) {
    u32 stop = i, colon;
    while (stop < text.size && text.at[stop] != '\n') stop++;
    for (colon = i + 1; colon + 1 < stop && !(text.at[colon] == ':' && text.at[colon + 1] == ' ');) colon++;
    if (colon + 1 < stop) add_header(list, text.at + i, colon - i, text.at + colon + 2, stop - colon - 2);
    i = stop + 1;
  }
}

// Answers all calls; a stream that is gone by then is none of the filter's business.
static void answer_calls(void) {
  has_body = 0;
  for (u32 next = 0; next < calls; next++) {
    u32 headers = flags & NO_ANSWER ? 0 : call_answer.count;
    proxy_on_http_call_response(ROOT, tokens[next], headers, called.size, 0);
  }
  calls = 0;
}

static void hold(Bytes piece) {
  free(body);
  body = copied(piece.at, piece.size);
  body_size = piece.size;
  has_body = 1;
}

static void ask(Bytes content) {
  u32 said = proxy_on_request_headers(STREAM, request.count, !(flags & HAS_BODY));
  answer_calls();
  if (flags & GATED) proxy_on_request_headers(GATE, request.count, !(flags & HAS_BODY));
  if (!(flags & HAS_BODY) || responded) return;
  Bytes half = {content.at, said == STOP || told[SHUT].at ? content.size / 2 : 0};
  hold(half);
  proxy_on_request_body(STREAM, half.size, 0);
  hold(content);
  if (flags & TRAILERS) {
    proxy_on_request_trailers(STREAM, 1);
  } else {
    proxy_on_request_body(STREAM, content.size, 1);
  }
  answer_calls();
  if (!(flags & GATED)) return;
  if (content.size % 2) proxy_on_queue_ready(GATE_ROOT, QUEUE);
  for (u32 n = 0; n < 20; n++) {
    proxy_on_tick(GATE_ROOT);
    proxy_on_tick(ROOT);
  }
}

static void reply(const u8 *at, const u8 *end) {
  proxy_on_response_headers(STREAM, answer.count, at == end);
  answer_calls();
  if (at == end || responded) return;
  while (at < end) {
    Bytes piece = section(&at, end);
    hold(piece);
    proxy_on_response_body(STREAM, piece.size, at == end && (flags & ENDS) && !(flags & TRAILERS));
    answer_calls();
  }
  has_body = 0;
  if (flags & TRAILERS) {
    hold((Bytes){at, 0});
    proxy_on_response_trailers(STREAM, 1);
    answer_calls();
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const u8 *at = data, *end = data + size;
  if (size < 1) return 0;
  flags = *at++;
  calls = clock = responded = failing = ticks = 0;
  configuration = section(&at, end);
  metadata = section(&at, end);
  read_headers(&request, section(&at, end));
  Bytes content = section(&at, end);
  called = section(&at, end);
  read_headers(&answer, section(&at, end));
  add_header(&call_answer, (const u8 *)":status", 7, (const u8 *)"200", 3);
  proxy_on_context_create(ROOT, 0);
  proxy_on_vm_start(ROOT, 0);
  proxy_on_configure(ROOT, configuration.size);
  proxy_on_context_create(STREAM, ROOT);
  if (flags & GATED) {
    Bytes first = configuration;
    proxy_on_context_create(GATE_ROOT, 0);
    configuration = (Bytes){(const u8 *)"{\"gate\": true}", 14};
    proxy_on_configure(GATE_ROOT, configuration.size);
    configuration = first;
    proxy_on_context_create(GATE, GATE_ROOT);
  }
  if (!(flags & ANSWER_ALONE)) ask(content);
  if (!responded) reply(at, end);
  proxy_on_done(STREAM);
  proxy_on_log(STREAM);
  proxy_on_delete(STREAM);
  proxy_on_delete(ROOT);
  if (flags & GATED) {
    proxy_on_done(GATE);
    proxy_on_delete(GATE);
    proxy_on_delete(GATE_ROOT);
  }
  for (u32 i = 0; i < BETWEEN; i++) {
    free(told[i].at);
    told[i].at = NULL;
  }
  free(message);
  message = NULL;
  forget(&request);
  forget(&answer);
  forget(&call_answer);
  free(body);
  body = NULL;
  body_size = has_body = 0;
  return 0;
}
