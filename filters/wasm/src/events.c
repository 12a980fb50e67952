#include "events.h"

// The members that tell one API's events from another's. An object with none of them, or only one of the first two,
// which are anybody's, is of no API we know.
enum {
  MESSAGE,
  RESPONSE,
  CHOICES,
  CANDIDATES,
  TYPE,
  DELTA,
  DONE,
  USAGE_,
  METADATA,
  META,
  ERROR_,
  ROLE,
  START,
  STOP_REASON,
  BLOCK_INDEX,
  WANTED_COUNT,
};
static const Names WANTED = {
    WANTED_COUNT,
    (const Str[]){S("message"), S("response"), S("choices"), S("candidates"), S("type"), S("delta"), S("done"), S("usage"),
     S("usageMetadata"), S("meta"), S("error"), S("role"), S("start"), S("stopReason"), S("contentBlockIndex")},
};
static const Names USAGE_ONLY = {1, &S("usage")};

static Spans found, inner;

void events_open(Sink *events, Meter *meter) { *events = (Sink){.meter = meter}; }

void events_free(Sink *events) {
  echo_free(&events->echo);
  if (events->passing) {
    scan_free(events->passing);
    give(events->passing);
  }
}

static int first(Str data, u32 name) { return there(&found, name) ? byte(data, found.of[name].from) : -1; }

// Where to cut so that the member `usage` is gone, its comma with it.
static Verdict member_span(Str data) {
  u32 from = found.of[USAGE_].key, to = found.of[USAGE_].to, before = from;
  while (before > 0 && (is_blank(data.at[before - 1]) || data.at[before - 1] == '\r' || data.at[before - 1] == '\n'))
    before--;
  if (before > 0 && data.at[before - 1] == ',') return (Verdict){CUT, before - 1, to};
  u32 after = solid(data, to);
  if (byte(data, after) == ',') to = solid(data, after + 1);
  return (Verdict){CUT, from, to};
}

// Is the member a list, and is that empty?
static bool list(Str data, u32 name, bool *empty) {
  if (first(data, name) != '[') return false;
  *empty = byte(data, solid(data, found.of[name].from + 1)) == ']';
  return true;
}

// Does `delta` hold text? Anthropic's and Cohere's first and last events have one that does not.
static bool has_text(Str data) {
  int c = first(data, DELTA);
  if (c != '"' && c != '{') return false;
  if (first(data, TYPE) != '"') return true;
  Str name = cut(data, found.of[TYPE].from + 1, found.of[TYPE].to - 1);
  return ends(name, S("delta")) && !same(name, S("message_delta"));
}

// A piece of an answer, one token when nothing better is known.
static bool is_delta(Str data) {
  bool empty;
  if (list(data, there(&found, CHOICES) ? CHOICES : CANDIDATES, &empty)) return !empty;
  return has_text(data) || first(data, DONE) == 'f';
}

// The usage of an object inside the event.
static bool nested(Str data, u32 name, Fields *out) {
  if (first(data, name) != '{') return false;
  return members(data, found.of[name].from, &USAGE_ONLY, &inner) != NONE && there(&inner, 0) &&
         usage_fields(data, inner.of[0].from, false, out);
}

// Tells the meter what the event reports.
static void report(Sink *events, Str data, bool delta) {
  Fields fields;
  u32 at = found.of[there(&found, USAGE_) ? USAGE_ : METADATA].from;
  bool any = at != NONE && usage_fields(data, at, false, &fields);
  if (!any && there(&found, TYPE) && there(&found, MESSAGE) && nested(data, MESSAGE, &fields)) {
    // Anthropic's first event; its last overrides it.
    meter_begin(events->meter, &fields);
    return;
  }
  any = any || nested(data, RESPONSE, &fields);
  any = any || (there(&found, DELTA) && !delta && nested(data, DELTA, &fields));
  any = any || (there(&found, META) && usage_fields(data, found.of[META].from, true, &fields));
  any = any || (first(data, DONE) == 't' && usage_fields(data, solid(data, 0), false, &fields));
  if (any) meter_report(events->meter, &fields);
}

// Is it the last event that a client waits for?
static bool is_last(Str data) {
  static const Str LAST[] = {S("\"message_stop\""), S("\"message-end\""), S("\"response.completed\""),
                             S("\"response.incomplete\""), S("\"response.failed\"")};
  Str kind = raw(data, &found, TYPE);
  for (u32 i = 0; i < sizeof LAST / sizeof LAST[0]; i++) {
    if (same(kind, LAST[i])) return true;
  }
  return first(data, DONE) == 't';
}

// What the client must not see of the event.
static Verdict unasked(Str data) {
  int c = first(data, USAGE_);
  bool empty;
  if (c == 'n') return member_span(data);
  if (c == '{' && list(data, CHOICES, &empty) && empty) return (Verdict){.what = DROP};
  return (Verdict){.what = KEEP};
}

// A delta like this one but for its text means the same.
static void learn(Sink *events, Str data, Verdict verdict) {
  u32 name = there(&found, CHOICES) ? CHOICES : there(&found, CANDIDATES) ? CANDIDATES : DELTA;
  if (!there(&found, name)) return;
  u32 size = echo_learn(&events->echo, data, found.of[name].from, found.of[name].to);
  if (size == NONE) return;
  events->size = size;
  events->cut = verdict;
  events->after = verdict.what == CUT && verdict.from >= events->echo.head;
}

static bool is_done_word(Str data) {
  u32 at = 0;
  while (is_blank(byte(data, at))) at++;
  return starts(from(data, at), S("[DONE]"));
}

Verdict sink_event(Sink *events, Str data) {
  Meter *meter = events->meter;
  u32 size = echo_same(&events->echo, data);
  if (size != NONE) {
    meter_delta(meter);
    Verdict verdict = events->cut;
    if (events->after) {
      verdict.from += size - events->size;
      verdict.to += size - events->size;
    }
    return verdict;
  }
  u32 heard = meter->heard;
  if (byte(data, solid(data, 0)) != '{' || document(data, &WANTED, &found) == NONE) {
    meter->ended = meter->ended || is_done_word(data);
    return (Verdict){.what = KEEP};
  }
  if (found.count == (u32)there(&found, MESSAGE) + there(&found, RESPONSE)) {
    meter_weigh(meter, data.size);
    return (Verdict){.what = KEEP};
  }
  bool delta = is_delta(data);
  if (delta) meter_delta(meter);
  report(events, data, delta);
  meter->ended = meter->ended || is_last(data);
  Verdict verdict = unasked(data);
  if (delta && heard == meter->heard && verdict.what != DROP) learn(events, data, verdict);
  return verdict;
}

void sink_usage(Sink *events, bool wrapped, Str data) {
  Fields fields;
  if (escapes_ok(data) && usage_fields(data, 0, wrapped, &fields)) meter_report(events->meter, &fields);
}

// Read in passing, so what it reports is not lost.
void sink_pass(Sink *events, Str piece) {
  if (!events->passing) {
    events->passing = take(sizeof(Scan));
    scan_open(events->passing, events, true);
    events->heard = events->meter->heard;
  }
  scan_push(events->passing, piece);
}

// Data without usage was one delta, or such events would be free.
void sink_lost(Sink *events) {
  if (!events->passing) return;
  if (events->meter->heard == events->heard) meter_delta(events->meter);
  scan_free(events->passing);
  give(events->passing);
  events->passing = NULL;
}

void sink_delta(Sink *events) { meter_delta(events->meter); }
