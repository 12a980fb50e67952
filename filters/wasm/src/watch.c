#include "watch.h"

void watch_begin(Stream *stream, u32 patience) {
  Root *root = stream->root;
  stream->watched = true;
  stream->patience = patience;
  stream->before = NULL;
  stream->after = root->watched;
  if (root->watched) root->watched->before = stream;
  root->watched = stream;
  if (!root->ticks) root->ticks = proxy_set_tick_period_milliseconds(TICK) == OK;
}

void watch_end(Stream *stream) {
  if (!stream->watched) return;
  stream->watched = false;
  if (stream->after) stream->after->before = stream->before;
  *(stream->before ? &stream->before->after : &stream->root->watched) = stream->after;
}

// The ticks end at the one after the last stream, and not with it: under load the host would make a clock for each
// request. What is let go in a tick can begin another stream before the host is through with the tick, and a clock that
// is set then would be set under the host's hands; in one without a stream there is nothing to let go.
Stream *watch_first(Root *root) {
  if (!root->watched && root->ticks) {
    proxy_set_tick_period_milliseconds(0);
    root->ticks = false;
  }
  return root->watched;
}
