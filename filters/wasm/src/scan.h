// scan: finds usage in JSON that arrives in pieces, cut at any byte: one object, objects one after the other (JSON
// lines), or an array of objects. It keeps where it is, the last keys and the bytes of a usage object, never the answer.
#ifndef SCAN_H
#define SCAN_H

#include "sink.h"

// The longest key asked for, with every character written as \uXXXX; and no number that counts is longer.
enum { SCAN_KEY = 17 * 6, SCAN_SCALAR = 64 };

typedef struct {
  u8 size; // 0: not there, else one more than the bytes
  u8 text[SCAN_SCALAR];
} Scalar;

typedef struct {
  Sink *sink;
  bool event;  // what comes is one event, not a whole answer
  u32 base;    // 1 inside of an array of objects
  i64 depth;   // of brackets around the next byte
  bool item;   // inside of an object that stands at the base
  bool quoted; // inside a string
  bool odd;    // the bytes so far end in an odd run of backslashes, inside a string
  bool key;    // the next string is a key, if it stands where keys are read
  bool naming; // a key is being read
  u32 name_size;
  u8 name[2 * SCAN_KEY + 2]; // its bytes
  u32 outer;                 // the last key of the item
  u32 inner;                 // the last key of the member being looked into
  bool within;               // in a member that is looked into
  enum { NO_USAGE, USAGE, LOST_USAGE } reading;
  Buffer usage;       // the bytes of the usage object being read
  i64 close;          // the depth after its end
  bool in_scalar;     // a value is being read
  Scalar scalar;      // its bytes
  Scalar values[3];   // of the item: done, prompt_eval_count, eval_count
  bool candidates;    // the item has some
  bool over;          // nothing more to find
} Scan;

void scan_open(Scan *scan, Sink *sink, bool event);
void scan_push(Scan *scan, Str body);
void scan_free(Scan *scan);

#endif
