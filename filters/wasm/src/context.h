// context: what the routes tell the filter, read once when the plugin is configured. Anything else, or nothing, means
// the defaults.
//
// Envoy's wasm filter takes no configuration per route, so one plugin has the contexts of all routes:
//
//   {"contexts": [{"routes": ["name of a route", …], "context": {…}}, …]}
//
// Where it does not let this filter hold headers, a second one holds them for it (`gate`): {"gate": true}.
//
// The first context of which the route is one of `routes` counts; without `routes` it is that of every route.
#ifndef CONTEXT_H
#define CONTEXT_H

#include "costs.h"
#include "routes.h"

// What the filter writes a number of by name: slots. The first are the same for all routes.
enum { TOTAL, PROMPT, COMPLETION, CACHED, CACHE_WRITE, REASONING, NO_COST, FIXED_SLOTS };

typedef struct {
  Str name, value;
} Pair;

typedef struct {
  Str header, space, fallback;
  bool has_fallback, broken; // broken: its path is none
  u32 steps;
  Str *path;
} Told; // a header that says what other filters found out

typedef struct {
  Str name;
  u32 models;
  Str *model;
} Backend;

typedef struct {
  u32 paid, due, refund, key; // slots; NONE where there is none
  double scale, prompt, completion;
} Hold;

typedef struct {
  bool whole; // it says all that it has to
  bool held;
  double reported, window, quantity;
  Str kind, unit, what;
} Limit;

typedef struct {
  Str key, value, header;
  bool by_header;
} Entry;

// A limit that the filter asks the service about. `of` is its place among the limits, from 1.
typedef struct {
  bool broken; // it does not say when it applies and what its counter is
  u32 paid, due, refund, key, check, of;
  u32 matches, entries;
  Pair *match;
  Entry *entry;
} Counter;

typedef struct {
  bool there;
  Str cluster, domain, header;
  u32 timeout;
  bool rest; // what is due when a stream is done is charged by the filter: nobody else does
  bool late; // and nothing before
  u32 headers, counters;
  Str *headers_read;
  Counter *counter;
} Calls;

typedef struct context {
  Str model_header, identity, backend_header;
  u32 defaults, told, costs, holds, backends, limits, slots, routes;
  Pair *fallback;
  Told *tell;
  Cost *cost;
  Hold *hold;
  Backend *backend;
  Limit *limit;
  Str *slot; // their names
  Str *route;
  bool every_route;
  double max_tokens; // 0: as many as the client asks for
  double body_limit;
  Calls settle, prepay;
  bool gated; // a gate holds the headers of requests
  enum { ESTIMATE, FREE, FIXED } on_missing;
  u32 fixed_tokens;
  bool free_on_disconnect, keep_usage;
} Context;

typedef struct {
  u32 count;
  Context *context;
  Routes of;
  const Context *every; // the first that is that of every route
  u32 blocks;
  void **block; // all memory of it
  bool gate;    // it is that of a gate
} Contexts;

void contexts_read(Contexts *contexts, Str configuration);
void contexts_free(Contexts *contexts);
// The context of a route; that of a route that says nothing when nobody has one for it.
const Context *context_of(const Contexts *contexts, Str route);

#endif
