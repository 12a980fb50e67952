// routes: whose context a route has, found at once however many there are.
#ifndef ROUTES_H
#define ROUTES_H

#include "bytes.h"

struct context;

typedef struct route {
  Str name;
  const struct context *context;
  struct route *next; // in its bucket
} Route;

typedef struct {
  u32 count, buckets; // a power of two
  Route *route, **bucket;
} Routes;

// Room for so many.
void routes_open(Routes *routes, u32 most);
void routes_free(Routes *routes);
// Of a name that is there already nothing: the first one counts. The name has to stay.
void routes_add(Routes *routes, Str name, const struct context *context);
// NULL when nobody has one for it.
const struct context *routes_find(const Routes *routes, Str name);

#endif
