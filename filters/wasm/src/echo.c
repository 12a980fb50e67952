#include "echo.h"

#include "json.h"

// Streams in which each event differs in more are not studied for ever, and long events are not kept.
enum { MAX_TRIES = 8, MAX_EVENT = 1024 };

void echo_free(Echo *echo) {
  free_buffer(&echo->event);
  echo->kept = NOTHING;
}

u32 echo_same(Echo *echo, Str data) {
  Str known = all(&echo->event);
  if (echo->kept != LEARNT || !starts(data, cut(known, 0, echo->head))) return NONE;
  u32 quote = find_byte(data, '"', echo->head);
  if (quote == NONE || !same(from(data, quote), from(known, echo->tail))) return NONE;
  if (find_byte(cut(data, 0, quote), '\\', echo->head) != NONE) return NONE;
  echo->tries = 0;
  return quote - echo->head;
}

// The first byte in which two texts differ, or NONE.
static u32 difference(Str one, Str other) {
  u32 least = one.size < other.size ? one.size : other.size;
  for (u32 i = 0; i < least; i++) {
    if (one.at[i] != other.at[i]) return i;
  }
  return one.size == other.size ? NONE : least;
}

u32 echo_learn(Echo *echo, Str data, u32 from, u32 to) {
  Str last = all(&echo->event);
  u32 at = echo->kept == LAST ? difference(last, data) : NONE;
  echo->kept = NOTHING;
  echo->event.size = 0;
  if (echo->tries == MAX_TRIES || data.size > MAX_EVENT) {
    echo_free(echo);
    return NONE;
  }
  add(&echo->event, data);
  echo->kept = LAST;
  echo->tries++;
  if (at == NONE || at <= from || at >= to) return NONE;
  u32 open = find_byte(data, '"', from);
  while (open != NONE && open < at) {
    bool odd = false;
    u32 stop = string_end(data, open + 1, &odd);
    if (stop == NONE) return NONE;
    if (at < stop) {
      echo->kept = LEARNT;
      echo->head = open + 1;
      echo->tail = stop - 1;
      return echo->tail - echo->head;
    }
    open = find_byte(data, '"', stop);
  }
  return NONE;
}
