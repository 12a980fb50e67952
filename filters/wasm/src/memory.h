// memory: blocks that are taken and given back, and scratch memory that is there until the host gets control back.
//
// A stream holds one block for itself and one for each buffer that something is kept in; all have caps. Blocks are
// powers of two. What is given back is taken again, so the memory of a worker is that of its most streams at a time.
#ifndef MEMORY_H
#define MEMORY_H

#include "abi.h"

#define bool _Bool
#define true 1
#define false 0
#define NULL ((void *)0)

// Never NULL: without memory the machine stops, and the proxy refuses what is under way. `take` gives zeroes.
void *take(u32 size);
void *take_raw(u32 size);
void give(void *block);

void *scratch(u32 size);
// Gives back all scratch memory. Nested entries leave it to the outermost.
void enter(void);
void leave(void);

void copy(void *to, const void *from, u32 size);
void move(void *to, const void *from, u32 size);
void clear(void *at, u32 size);
_Noreturn void stop(void);

#endif
