#include "sse.h"

// The lines of one event together, a line that never ends included. Past it nothing more of the event is kept: its
// bytes go on as they came, and its data is told of in passing. A line costs LINE beside its bytes, so that empty ones
// are bounded too.
enum { MAX_EVENT = 24576, LINE = 32 };
// A buffer that has grown past this is given back when it is empty.
enum { SMALL = 2048 };

#define BOM S("\xef\xbb\xbf")

void sse_open(Sse *sse, bool hold) { *sse = (Sse){.hold = hold, .first = true}; }

void sse_free(Sse *sse) {
  free_buffer(&sse->line);
  free_buffer(&sse->data);
  free_buffer(&sse->raw);
}

static void empty(Buffer *buffer) {
  if (buffer->room > SMALL) {
    free_buffer(buffer);
  } else {
    buffer->size = 0;
  }
}

static void forget(Sse *sse) {
  sse->size = 0;
  sse->is_over = sse->has_data = sse->single = false;
  empty(&sse->data);
  empty(&sse->raw);
}

static void emit(Buffer *out, Str bytes) {
  if (out) add(out, bytes);
}

// Keeps no more of the event: what was held goes on.
static void give_up(Sse *sse, Sink *sink, Buffer *out) {
  emit(out, all(&sse->raw));
  emit(out, all(&sse->line));
  if (sse->has_data) sink_pass(sink, all(&sse->data));
  Str line = all(&sse->line);
  sse->is_over = true;
  oversize_open(&sse->over);
  oversize_push(&sse->over, sink, sse->first && starts(line, BOM) ? from(line, 3) : line);
  free_buffer(&sse->raw);
  free_buffer(&sse->line);
  free_buffer(&sse->data);
  sse->has_data = sse->first = false;
}

// Ends the event; says whether its bytes went on.
static bool dispatch(Sse *sse, Sink *sink, Buffer *out) {
  if (sse->is_over) {
    sink_lost(sink);
  } else if (sse->has_data) {
    Verdict verdict = sink_event(sink, all(&sse->data));
    if (sse->hold && verdict.what == DROP) {
      forget(sse);
      return false;
    }
    if (sse->hold && verdict.what == CUT && sse->single) {
      Str raw = all(&sse->raw);
      emit(out, cut(raw, 0, sse->value + verdict.from));
      emit(out, from(raw, sse->value + verdict.to));
      forget(sse);
      return true;
    }
  }
  emit(out, all(&sse->raw));
  forget(sse);
  return true;
}

// One whole line that is not empty, from `start` on.
static void field(Sse *sse, Buffer *out, Str line, Str ending, u32 start) {
  if (sse->size == 0 && byte(line, start) == ':') {
    // A comment between events belongs to none of them.
    emit(out, line);
    emit(out, ending);
    return;
  }
  sse->size += line.size + LINE;
  u32 value = oversize_value(from(line, start));
  if (value != NONE) {
    if (sse->has_data) add_byte(&sse->data, '\n');
    add(&sse->data, from(line, start + value));
    sse->single = !sse->has_data;
    sse->has_data = true;
    sse->value = sse->raw.size + start + value;
  }
  if (sse->hold) {
    add(&sse->raw, line);
    add(&sse->raw, ending);
  }
}

// One line: `tail` is what of it came last. Says whether its bytes went on, or will with its event.
static bool take_line(Sse *sse, Sink *sink, Buffer *out, Str tail, Str ending) {
  if (sse->is_over) {
    emit(out, tail);
    emit(out, ending);
    return !oversize_line(&sse->over, sink, tail) || dispatch(sse, sink, out);
  }
  Str line = tail;
  if (sse->line.size) {
    sse->size -= sse->line.size;
    line = JOIN(all(&sse->line), tail);
    empty(&sse->line);
  }
  u32 start = 0;
  if (sse->first) {
    sse->first = false;
    start = starts(line, BOM) ? 3 : 0;
  }
  if (sse->size + line.size > MAX_EVENT) {
    give_up(sse, sink, out);
    emit(out, line);
    emit(out, ending);
    oversize_line(&sse->over, sink, from(line, start));
    return true;
  }
  if (line.size > start) {
    field(sse, out, line, ending, start);
    return true;
  }
  if (sse->hold) {
    add(&sse->raw, line);
    add(&sse->raw, ending);
  }
  return dispatch(sse, sink, out);
}

// The beginning of a line whose end has not come.
static void begin(Sse *sse, Sink *sink, Buffer *out, Str piece) {
  if (sse->is_over) {
    emit(out, piece);
    oversize_push(&sse->over, sink, piece);
    return;
  }
  add(&sse->line, piece);
  sse->size += piece.size;
  if (sse->size > MAX_EVENT) give_up(sse, sink, out);
}

// A LF that completes the CRLF which the last piece cut.
static void late_lf(Sse *sse, Buffer *out) {
  if (sse->cr != KEPT_CR) return;
  if (sse->raw.size) {
    add(&sse->raw, S("\n"));
  } else {
    emit(out, S("\n"));
  }
}

void sse_push(Sse *sse, Str body, Sink *sink, Buffer *out) {
  u32 at = 0;
  if (sse->cr && body.size) {
    if (body.at[0] == '\n') {
      late_lf(sse, out);
      at = 1;
    }
    sse->cr = NO_CR;
  }
  // Both are looked for once per line end, so the whole piece is passed over once for each.
  u32 cr = find_byte(body, '\r', at), lf = find_byte(body, '\n', at);
  while (at < body.size) {
    u32 end = cr < lf ? cr : lf;
    if (end == NONE) {
      begin(sse, sink, out, from(body, at));
      break;
    }
    u32 next = end == cr && lf == end + 1 ? end + 2 : end + 1;
    bool kept = take_line(sse, sink, out, cut(body, at, end), cut(body, end, next));
    if (end == cr && end + 1 == body.size) sse->cr = kept ? KEPT_CR : CUT_CR;
    at = next;
    if (cr != NONE && cr < at) cr = find_byte(body, '\r', at);
    if (lf != NONE && lf < at) lf = find_byte(body, '\n', at);
  }
}

void sse_finish(Sse *sse, Sink *sink, Buffer *out) {
  if (sse->line.size) take_line(sse, sink, out, S(""), S(""));
  dispatch(sse, sink, out);
}

Str sse_held(const Sse *sse) { return JOIN(all(&sse->raw), all(&sse->line)); }
