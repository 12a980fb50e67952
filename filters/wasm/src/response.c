#include "response.h"

#include "number.h"

// A content type without parameters, in lower case.
static Str kind_of(const Headers *headers) {
  Str value = lowered(header_text(headers, S("content-type")));
  u32 stop = 0;
  while (byte(value, stop) >= 0 && !is_space(byte(value, stop)) && byte(value, stop) != ';' && byte(value, stop) != ',')
    stop++;
  return cut(value, 0, stop);
}

static void read_from(Reader *reader, Known *known, Headers *headers) {
  *reader = (Reader){0};
  meter_open(&reader->meter, known);
  events_open(&reader->sink, &reader->meter);
  reader->has_length = to_whole(header_text(headers, S("content-length")), &reader->length);
  reader->settles = known->context->settle.there && !known->context->settle.late;
  if (reader->settles && reader->has_length && reader->length > MAX_HELD) {
    // Its last piece may be too long to wait. Without this a client knows the end when the stream ends, and that waits.
    header_remove(headers, S("content-length"));
    reader->has_length = false;
  }
  if (!header_plain(headers)) return;
  Str kind = kind_of(headers);
  if (same(kind, S("application/vnd.amazon.eventstream"))) {
    reader->kind = MESSAGES_;
    reader->meter.streamed = true;
    return;
  }
  reader->undecided = true;
  reader->events = same(kind, S("text/event-stream"));
  reader->meter.streamed = reader->events;
  reader->hold = reader->events && known->forced;
  // The stream gets shorter by what is taken out.
  if (reader->hold) header_remove(headers, S("content-length"));
}

// The shape of an answer, whatever its type says, by its first byte: JSON, or lines that may be events. What is blank
// before it tells nothing; in an event stream only an empty line is blank.
static void decide(Reader *reader, Str body) {
  u32 first = 0, any = NONE;
  for (; first < body.size; first++) {
    u8 c = body.at[first];
    bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == 0xef || c == 0xbb || c == 0xbf;
    if (any == NONE && (reader->events ? c != '\r' && c != '\n' : !blank)) any = first;
    if (!blank) break;
  }
  int c = byte(body, first);
  if (c == '{' || c == '[') {
    reader->kind = JSON;
    scan_open(&reader->json, &reader->sink, false);
    reader->meter.streamed = false;
  } else if (any != NONE) {
    reader->kind = LINES;
    sse_open(&reader->lines, reader->hold);
  } else {
    return;
  }
  reader->undecided = false;
}

// What the proxy itself answered: refused, unavailable, unidentified or forbidden; else an upstream did.
static Kind own(const Known *known, const Headers *headers, u64 status, const Seen *seen) {
  if (limits_refused(headers, status, seen)) return REFUSED;
  // Nobody asks the service where there are no limits, or where this filter has.
  if (known->seen && !known->told_of && known->context->limits) {
    Kind away = error_away(headers, status, seen != NULL);
    if (away) return away;
  }
  return error_denied(headers, status, known->seen);
}

Opened response_open(Reader *reader, Known *known, Headers *headers) {
  Opened out = {0};
  // An answer from before the filter saw the request.
  if (!known->seen) meter_default(known);
  if (!to_whole(header_text(headers, S(":status")), &out.status)) out.status = 0;
  out.seen_any = limits_take(headers, &out.seen);
  out.own = own(known, headers, out.status, out.seen_any ? &out.seen : NULL);
  if (out.own || known->fault) return out;
  const Context *context = known->context;
  const Limit *limit = NULL;
  Seen seen = out.seen;
  if (out.status != 429) {
    if (known->told_of) {
      seen = (Seen){.remaining = known->told_left, .reset = known->told_reset};
      limit = known->told_of <= context->limits ? &context->limit[known->told_of - 1] : NULL;
    } else if (out.seen_any) {
      limit = limits_find(context, &seen);
    }
  }
  if (limit) limits_admit(headers, limit, &seen);
  if (known->fault || out.status < 200 || out.status > 299 || known->unmetered) return out;
  read_from(reader, known, headers);
  out.reads = true;
  meter_write(&reader->meter);
  return out;
}

bool response_refuse(const Opened *opened, Known *known, Headers *headers, Str body, Str *out, Pair *more, u32 *count) {
  *count = 0;
  if (opened->own == UNIDENTIFIED || opened->own == FORBIDDEN) {
    *out = error_deny(headers, opened->own, body);
  } else if (body.size) {
    return false;
  } else if (opened->own == UNAVAILABLE) {
    *out = error_postpone(headers, known->api, (u32)opened->status);
  } else {
    const Limit *limit = limits_find(known->context, &opened->seen);
    if (limit && !limit->whole) {
      known->fault = true;
      return false;
    }
    *out = limits_refusal(limit, &opened->seen, known->model, known->api, more, count);
    for (u32 i = 0; i < *count; i++) header_set(headers, more[i].name, more[i].value);
  }
  return true;
}

static Str push(Reader *reader, Str body) {
  Str out = body;
  if (reader->undecided) decide(reader, body);
  reader->meter.bytes += body.size;
  if (reader->kind == LINES) {
    Buffer kept = SCRATCH;
    sse_push(&reader->lines, body, &reader->sink, reader->hold ? &kept : NULL);
    if (reader->hold) out = all(&kept);
  } else if (reader->kind == JSON) {
    scan_push(&reader->json, body);
  } else if (reader->kind == MESSAGES_ && !messages_push(&reader->messages, body, &reader->sink)) {
    reader->kind = UNREAD;
    reader->meter.streamed = false;
  }
  meter_write(&reader->meter);
  return out;
}

Str response_pass(Reader *reader, Str body) {
  // HTTP/1 ends in an empty piece.
  if (!body.size && !reader->settles) return body;
  Known *known = reader->meter.known;
  Str held = reader->kind == LINES && reader->hold ? sse_held(&reader->lines) : S("");
  Str sent = push(reader, body);
  if (known->fault) {
    meter_note_fault(known, S("what an answer costs could not be written"));
    reader->broken = true;
    sent = JOIN(held, body);
  }
  if (reader->tail.size) {
    sent = JOIN(all(&reader->tail), sent);
    free_buffer(&reader->tail);
  }
  // The end of a piece that is too long to wait goes with the next one, if there may be one to wait for.
  if (!reader->broken && reader->settles && reader->meter.ended && sent.size > MAX_HELD) {
    add(&reader->tail, from(sent, sent.size - TAIL_SIZE));
    sent = cut(sent, 0, sent.size - TAIL_SIZE);
  }
  return sent;
}

bool response_complete(const Reader *reader, Str sent) {
  bool whole = reader->has_length && reader->meter.bytes >= reader->length;
  if (!reader->settles) return whole;
  return (whole || reader->meter.ended) && !reader->tail.size && sent.size <= MAX_HELD;
}

Str response_close(Reader *reader) {
  Known *known = reader->meter.known;
  Buffer kept = SCRATCH;
  reader->finished = true;
  if (reader->kind == LINES) sse_finish(&reader->lines, &reader->sink, reader->hold ? &kept : NULL);
  meter_finish(&reader->meter);
  Str rest = JOIN(all(&reader->tail), all(&kept));
  if (known->fault) {
    meter_note_fault(known, S("what an answer costs could not be written"));
    rest = all(&reader->tail);
  }
  return rest;
}

void response_free(Reader *reader) {
  events_free(&reader->sink);
  messages_free(&reader->messages);
  sse_free(&reader->lines);
  scan_free(&reader->json);
  free_buffer(&reader->tail);
}
