// rls: calls of the rate limit service about the counters that limits have for one request: gRPC's frame around a
// RateLimitRequest, and what the answer says of each limit.
#ifndef RLS_H
#define RLS_H

#include "header.h"

typedef struct {
  const Counter *counter;
  u32 hits;
  bool known;     // the service has a limit for it
  u64 left;
  u32 from, to;   // its descriptor's entries, in `entries` of the charges
} Charge;

// What one call is about. It lives until the call has come back.
typedef struct {
  const Calls *calls;
  u32 count;
  Charge *charge;
  Buffer entries;
} Charges;

// What a header of the request says; false without it.
typedef bool Said(const void *of, Str header, Str *value);

void charges_open(Charges *charges, const Calls *calls);
void charges_free(Charges *charges);
// Adds a limit, if it applies and no header is missing, as for the proxy. A context that makes no sense: false.
bool charges_add(Charges *charges, const Counter *counter, u32 hits, Said *said, const void *of);

// Sends a call. With `book` it adds the hits of the charges to the counters, else nothing. False: there is no such
// cluster.
bool rls_call(const Charges *charges, bool book, u32 timeout, u32 *token);

typedef struct {
  bool known, over;
  u64 left, reset;
} Status;

// Reads the answer that the host has in hand: of each of `count` limits what the service says. False: this is none.
bool rls_statuses(bool answered, u32 body_size, u32 count, Status *out);

#endif
