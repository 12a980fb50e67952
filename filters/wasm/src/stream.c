// The life of a plugin and of a stream.

#include "stream.h"

#include "calls.h"
#include "gate.h"
#include "watch.h"

enum { BUCKETS = 1024 };

static Root *roots;
static Stream *streams[BUCKETS];

Root *root_of(u32 id) {
  for (Root *root = roots; root; root = root->next) {
    if (root->id == id && !root->gone) return root;
  }
  return NULL;
}

Stream *stream_of(u32 id) {
  for (Stream *stream = streams[id % BUCKETS]; stream; stream = stream->next) {
    if (stream->id == id) return stream;
  }
  return NULL;
}

static void let_go(Root *root) {
  if (!root->gone || root->streams) return;
  Root **at = &roots;
  while (*at != root) at = &(*at)->next;
  *at = root->next;
  contexts_free(&root->contexts);
  give(root);
}

bool step_failed(Known *known) {
  if (!known->fault) return false;
  meter_note_fault(known, S("the proxy or the route refused a step of the filter"));
  return true;
}

Str stream_bytes(u32 type, u32 size) {
  Str out = {0};
  return size && proxy_get_buffer_bytes(type, 0, size, &out.at, &out.size) == OK ? out : (Str){0};
}

bool stream_property(Str path, Str *value) {
  *value = (Str){0};
  return proxy_get_property(path.at, path.size, &value->at, &value->size) == OK;
}

const Context *stream_context(const Root *root) {
  Str name = {0};
  stream_property(S("xds\0route_name"), &name);
  return context_of(&root->contexts, name);
}

void stream_send(u32 status, Str details, Str body, Str headers) {
  proxy_send_local_response(status, details.at, details.size, body.at, body.size, headers.at, headers.size, ~0u);
}

void EXPORT(proxy_abi_version_0_2_1)(void) {}

void *EXPORT(proxy_on_memory_allocate)(u32 size) { return scratch(size); }

u32 EXPORT(proxy_on_vm_start)(u32 root, u32 size) {
  (void)root, (void)size;
  return true;
}

u32 EXPORT(proxy_on_configure)(u32 id, u32 size) {
  Root *root = root_of(id);
  if (!root) return false;
  enter();
  contexts_free(&root->contexts);
  contexts_read(&root->contexts, stream_bytes(PLUGIN_CONFIGURATION, size));
  if (root->contexts.gate) root->queue = gate_queue();
  leave();
  return true;
}

void EXPORT(proxy_on_context_create)(u32 id, u32 parent) {
  if (!parent) {
    Root *root = take(sizeof(Root));
    root->id = id;
    root->next = roots;
    roots = root;
    return;
  }
  Root *root = root_of(parent);
  if (!root) return;
  Stream *stream = take(sizeof(Stream));
  stream->id = id;
  stream->root = root;
  root->streams++;
  if (!root->contexts.context) contexts_read(&root->contexts, (Str){0});
  known_open(&stream->known, context_of(&root->contexts, (Str){0}));
  stream->next = streams[id % BUCKETS];
  streams[id % BUCKETS] = stream;
}

// Of every stream, once: one that has ended, one whose client has left, one that was reset.
u32 EXPORT(proxy_on_done)(u32 id) {
  Stream *stream = stream_of(id);
  if (!stream) return true;
  enter();
  calls_settle(stream);
  leave();
  return true;
}

void EXPORT(proxy_on_log)(u32 id) { (void)id; }

void EXPORT(proxy_on_delete)(u32 id) {
  Root *root = root_of(id);
  if (root) {
    root->gone = true;
    let_go(root);
    return;
  }
  Stream **at = &streams[id % BUCKETS];
  while (*at && (*at)->id != id) at = &(*at)->next;
  Stream *stream = *at;
  if (!stream) return;
  *at = stream->next;
  calls_abandon(stream);
  watch_end(stream);
  if (stream->reader) {
    response_free(stream->reader);
    give(stream->reader);
  }
  known_free(&stream->known);
  root = stream->root;
  root->streams--;
  give(stream);
  let_go(root);
}
