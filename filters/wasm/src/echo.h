// echo: most events of a stream are the one before but for the text of one string. Such an event means what that one
// meant and need not be read: two comparisons instead of a scan.
#ifndef ECHO_H
#define ECHO_H

#include "bytes.h"

typedef struct {
  enum { NOTHING, LAST, LEARNT } kept;
  Buffer event;   // the one read last, or the one learnt
  u32 head, tail; // of the one learnt: where its text begins and ends, at its quotes
  u32 tries;      // events studied in vain, in a row
} Echo;

// Is `data` the event that was learnt, but for the text? Gives its length, else NONE. A text with an escape is none, so
// what the scan would say of the string is known: it ends at the first quote.
u32 echo_same(Echo *echo, Str data);
// Learns from `data`, which was read to be JSON, when it differs from the event before inside of a string between
// `from` and `to`, where strings mean nothing. Gives the length of its text, else NONE.
u32 echo_learn(Echo *echo, Str data, u32 from, u32 to);
void echo_free(Echo *echo);

#endif
