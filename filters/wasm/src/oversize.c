#include "oversize.h"

void oversize_open(Oversize *over) { *over = (Oversize){.heading = true}; }

u32 oversize_value(Str line) {
  if (!starts(line, S("data"))) return NONE;
  int c = byte(line, 4);
  if (c == ':') return byte(line, 5) == ' ' ? 6 : 5;
  return c < 0 ? 4 : NONE;
}

// The value of a data line begins. Several lines join with LF, which JSON skips.
static void begin(Sink *sink, Str value) {
  sink_pass(sink, S("\n"));
  sink_pass(sink, value);
}

void oversize_push(Oversize *over, Sink *sink, Str piece) {
  if (over->heading) {
    Str more = cut(piece, 0, ENOUGH - over->head_size);
    copy(over->head + over->head_size, more.at, more.size);
    over->head_size += more.size;
    if (over->head_size < ENOUGH) return;
    over->heading = false;
    u32 value = oversize_value((Str){over->head, ENOUGH});
    over->data = value != NONE;
    if (over->data) begin(sink, from((Str){over->head, ENOUGH}, value));
    piece = from(piece, more.size);
  }
  if (over->data) sink_pass(sink, piece);
}

bool oversize_line(Oversize *over, Sink *sink, Str piece) {
  oversize_push(over, sink, piece);
  bool empty = over->heading && over->head_size == 0;
  if (over->heading) {
    Str line = {over->head, over->head_size};
    u32 value = oversize_value(line);
    if (value != NONE) begin(sink, from(line, value));
  }
  oversize_open(over);
  return empty;
}
