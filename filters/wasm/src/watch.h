// watch: streams that their plugin looks after at every tick. The host ticks only while there are any.
#ifndef WATCH_H
#define WATCH_H

#include "stream.h"

enum { TICK = 100 }; // milliseconds

// `patience`: for how many ticks; 0: for as long as it takes.
void watch_begin(Stream *stream, u32 patience);
// Of one that is not watched nothing.
void watch_end(Stream *stream);
// The first that a plugin looks after at this tick, and by `after` the others. When there is none, this was the last tick.
Stream *watch_first(Root *root);

#endif
