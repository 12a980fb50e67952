// events: what the events of a stream mean, whatever framed them (SSE, JSON lines, an array, Bedrock's messages), by
// their shape: deltas, usage, and what a client that did not ask for usage must not see.
#ifndef EVENTS_H
#define EVENTS_H

#include "echo.h"
#include "meter.h"
#include "scan.h"

struct events {
  Meter *meter;
  Echo echo;
  u32 size;       // of the delta that was learnt: the length of its text
  Verdict cut;    // what to take out of it
  bool after;     // that comes after the text
  Scan *passing;  // reads an event over the cap
  u32 heard;      // reports before it
};

void events_open(Sink *events, Meter *meter);
void events_free(Sink *events);

#endif
