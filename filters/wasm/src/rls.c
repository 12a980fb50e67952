#include "rls.h"

#include "number.h"
#include "protobuf.h"

#define PATH S("/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit")

void charges_open(Charges *charges, const Calls *calls) {
  *charges = (Charges){.calls = calls, .charge = take(calls->counters * sizeof(Charge))};
}

void charges_free(Charges *charges) {
  give(charges->charge);
  free_buffer(&charges->entries);
  *charges = (Charges){0};
}

bool charges_add(Charges *charges, const Counter *counter, u32 hits, Said *said, const void *of) {
  if (counter->broken || charges->count == charges->calls->counters) return false;
  for (u32 i = 0; i < counter->matches; i++) {
    Str value;
    if (!said(of, counter->match[i].name, &value) || !same(value, counter->match[i].value)) return true;
  }
  Buffer entries = SCRATCH;
  for (u32 i = 0; i < counter->entries; i++) {
    const Entry *entry = &counter->entry[i];
    Str value = entry->value;
    if (entry->by_header && !said(of, entry->header, &value)) return true;
    Buffer one = SCRATCH;
    protobuf_bytes(&one, 1, entry->key);
    protobuf_bytes(&one, 2, value);
    protobuf_bytes(&entries, 1, all(&one));
  }
  u32 from = charges->entries.size;
  add(&charges->entries, all(&entries));
  charges->charge[charges->count++] =
      (Charge){.counter = counter, .hits = hits, .from = from, .to = charges->entries.size};
  return true;
}

// RateLimitRequest: domain = 1, descriptors = 2; a descriptor: entries = 1 (key = 1, value = 2), hits_addend = 3 (a
// message with the number in 1).
static Str frame(const Charges *charges, bool book) {
  Buffer message = SCRATCH, out = SCRATCH;
  protobuf_bytes(&message, 1, charges->calls->domain);
  for (u32 i = 0; i < charges->count; i++) {
    const Charge *charge = &charges->charge[i];
    Buffer hits = SCRATCH, descriptor = SCRATCH;
    add_byte(&hits, 1 << 3 | VARINT);
    protobuf_varint(&hits, book ? charge->hits : 0);
    add(&descriptor, cut(all(&charges->entries), charge->from, charge->to));
    protobuf_bytes(&descriptor, 3, all(&hits));
    protobuf_bytes(&message, 2, all(&descriptor));
  }
  u8 head[5] = {0, message.size >> 24, message.size >> 16 & 255, message.size >> 8 & 255, message.size & 255};
  add(&out, (Str){head, 5});
  add(&out, all(&message));
  return all(&out);
}

bool rls_call(const Charges *charges, bool book, u32 timeout, u32 *token) {
  const Calls *calls = charges->calls;
  Str headers = PACKED({S(":method"), S("POST")}, {S(":path"), PATH}, {S(":authority"), calls->cluster},
                       {S("content-type"), S("application/grpc")}, {S("te"), S("trailers")});
  Str none = headers_packed(NULL, 0), body = frame(charges, book);
  return proxy_http_call(calls->cluster.at, calls->cluster.size, headers.at, headers.size, body.at, body.size, none.at,
                         none.size, timeout, token) == OK;
}

// The number in a field of a message, 0 when it is not there.
static u64 number_in(Str message, u32 number) {
  Field field;
  for (u32 at = 0; protobuf_next(message, &at, &field);) {
    if (field.number == number && field.wire == VARINT) return field.value;
  }
  return 0;
}

static bool valid(Str message) {
  Field field;
  u32 at = 0;
  while (protobuf_next(message, &at, &field)) continue;
  return at == message.size;
}

// DescriptorStatus: code = 1, current_limit = 2, limit_remaining = 3, duration_until_reset = 4 (seconds in 1). Where it
// names no limit, nothing is known, for the service answers as well when it has none.
static Status status(Str message) {
  Status out = {0};
  Field field;
  if (!valid(message)) return out;
  for (u32 at = 0; protobuf_next(message, &at, &field);) {
    if (field.number == 2) out.known = true;
    if (field.number == 4 && field.wire == LENGTH) out.reset = number_in(field.bytes, 1);
  }
  out.over = number_in(message, 1) == 2;
  out.left = number_in(message, 3);
  return out;
}

bool rls_statuses(bool answered, u32 body_size, u32 count, Status *out) {
  if (!answered) return false;
  Known aside = {0};
  Headers headers;
  headers_read(&headers, CALL_HEADERS, &aside);
  Str grpc = S("0");
  header_get(&headers, S("grpc-status"), &grpc);
  if (!same(header_text(&headers, S(":status")), S("200")) || !same(grpc, S("0"))) return false;
  Str body = {0};
  if (!body_size || proxy_get_buffer_bytes(CALL_BODY, 0, body_size, &body.at, &body.size) != OK) return false;
  if (body.size < 5 || body.at[0]) return false;
  u32 size = (u32)body.at[1] << 24 | (u32)body.at[2] << 16 | (u32)body.at[3] << 8 | body.at[4];
  Str message = from(body, 5);
  if (size != message.size || !valid(message)) return false;
  u32 found = 0;
  Field field;
  for (u32 at = 0; protobuf_next(message, &at, &field);) {
    if (field.number != 2 || field.wire != LENGTH) continue;
    if (found == count) return false;
    out[found++] = status(field.bytes);
  }
  return found == count;
}
