// oversize: an SSE event that is too long to keep. Its data is told of piece by piece, in passing.
#ifndef OVERSIZE_H
#define OVERSIZE_H

#include "sink.h"

// As many bytes of a line tell whether it is data and where its value begins.
enum { ENOUGH = 6 };

typedef struct {
  bool heading; // too little of the line being read is there
  u32 head_size;
  u8 head[ENOUGH];
  bool data; // that line is data
} Oversize;

void oversize_open(Oversize *over);
// Where the value of a line of the field `data` begins; NONE when it is of another.
u32 oversize_value(Str line);
// Takes a piece of a line.
void oversize_push(Oversize *over, Sink *sink, Str piece);
// Takes the last piece of a line. Says whether the line is empty, which ends the event.
bool oversize_line(Oversize *over, Sink *sink, Str piece);

#endif
