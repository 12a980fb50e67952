#include "routes.h"

// By FNV-1a.
static Route **bucket_of(const Routes *routes, Str name) {
  u32 hash = 2166136261u;
  for (u32 i = 0; i < name.size; i++) hash = (hash ^ name.at[i]) * 16777619u;
  return &routes->bucket[hash & (routes->buckets - 1)];
}

void routes_open(Routes *routes, u32 most) {
  *routes = (Routes){.buckets = 1};
  while (routes->buckets < most) routes->buckets *= 2;
  routes->bucket = take(routes->buckets * sizeof(Route *));
  routes->route = take(most * sizeof(Route));
}

void routes_free(Routes *routes) {
  give(routes->bucket);
  give(routes->route);
}

void routes_add(Routes *routes, Str name, const struct context *context) {
  if (routes_find(routes, name)) return;
  Route **bucket = bucket_of(routes, name), *route = &routes->route[routes->count++];
  *route = (Route){name, context, *bucket};
  *bucket = route;
}

const struct context *routes_find(const Routes *routes, Str name) {
  const Route *route = *bucket_of(routes, name);
  while (route && !same(route->name, name)) route = route->next;
  return route ? route->context : NULL;
}
