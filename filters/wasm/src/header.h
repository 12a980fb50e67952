// header: the headers of a message as the host has them, and one value for a header, whatever was sent of it.
#ifndef HEADER_H
#define HEADER_H

#include "meter.h"

// A list that is read from the host once in an entry, and kept like the host's.
typedef struct {
  u32 type, count, room;
  Pair *pair;
  Known *known; // where a fault is noted
  bool gated;   // the host has taken them back: edits are for the gate
} Headers;

void headers_read(Headers *headers, u32 type, Known *known);
// All values, joined with commas; false without any.
bool header_get(const Headers *headers, Str name, Str *value);
// The same; empty without any.
Str header_text(const Headers *headers, Str name);
bool header_there(const Headers *headers, Str name);
void header_add(Headers *headers, Str name, Str value);
void header_remove(Headers *headers, Str name);
void header_set(Headers *headers, Str name, Str value);
// One value: the client's first usable one, else the default, if there is one; without both the header is gone.
bool header_settle(Headers *headers, Str name, const Str *fallback, Str *out);
// Is the body as it was written, without a coding that would have to be undone to read it?
bool header_plain(const Headers *headers);
// As the host takes a list of headers.
Str headers_packed(const Pair *pairs, u32 count);
// Makes edits of another filter's, on the host's headers of the request. False: some could not be made.
bool headers_edit(Str edits);
#define PACKED(...) headers_packed((Pair[]){__VA_ARGS__}, sizeof((Pair[]){__VA_ARGS__}) / sizeof(Pair))

#endif
