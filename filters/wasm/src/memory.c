#include "memory.h"

// Of blocks: the least and the largest class, and what is kept before each; and the least piece of scratch memory.
enum { LEAST = 6, MOST = 30, HEAD = 16, PIECE = 16384 - 2 * HEAD };

void copy(void *to, const void *from, u32 size) {
  if (size) __builtin_memcpy(to, from, size);
}
void move(void *to, const void *from, u32 size) {
  if (size) __builtin_memmove(to, from, size);
}
void clear(void *at, u32 size) {
  if (size) __builtin_memset(at, 0, size);
}
_Noreturn void stop(void) { __builtin_trap(); }

#ifdef __wasm__

// Before each block: its class, or where the next free one is.
typedef union head {
  u32 class;
  union head *next;
  u8 room[HEAD];
} Head;

static Head *given[MOST + 1];
extern u8 __heap_base;
static u64 top, end;

// Fresh memory; a page of the machine has 64 KiB.
static Head *fresh(u32 size) {
  if (!top) {
    top = ((u64)(unsigned long)&__heap_base + HEAD - 1) / HEAD * HEAD;
    end = (u64)__builtin_wasm_memory_size(0) << 16;
  }
  if (top + size > end) {
    u64 pages = (top + size - end + 65535) >> 16;
    // Several at a time, so that the memory does not grow with each stream.
    u64 more = pages < 16 ? 16 : pages;
    if (__builtin_wasm_memory_grow(0, more) == ~0ul) {
      more = pages;
      if (__builtin_wasm_memory_grow(0, more) == ~0ul) stop();
    }
    end += more << 16;
  }
  Head *block = (Head *)(unsigned long)top;
  top += size;
  return block;
}

void *take_raw(u32 size) {
  u32 class = LEAST;
  while (class <= MOST && (1u << class) - HEAD < size) class++;
  if (class > MOST) stop();
  Head *block = given[class];
  if (block) {
    given[class] = block->next;
  } else {
    block = fresh(1u << class);
  }
  block->class = class;
  return block + 1;
}

void give(void *at) {
  if (!at) return;
  Head *block = (Head *)at - 1;
  u32 class = block->class;
  if (class < LEAST || class > MOST) stop();
  block->next = given[class];
  given[class] = block;
}

#else
// On the host a sanitizer wants to see every block.
void free(void *);

void *malloc(unsigned long size);
void *take_raw(u32 size) {
  void *block = malloc(size ? size : 1);
  if (!block) stop();
  return block;
}
void give(void *at) { free(at); }
#endif

void *take(u32 size) {
  void *block = take_raw(size);
  clear(block, size);
  return block;
}

typedef struct piece {
  struct piece *next;
  u32 size, used;
} Piece;

static Piece *pieces;
static u32 depth;

void *scratch(u32 size) {
  if (size > 0x7fffff00u) stop();
  size = (size + 15) & ~15u;
#ifdef __wasm__
  u32 least = PIECE;
#else
  u32 least = 0; // a piece for each, so that a sanitizer sees their ends
#endif
  if (!pieces || pieces->size - pieces->used < size) {
    u32 room = size < least ? least : size;
    Piece *piece = take_raw(HEAD + room);
    *piece = (Piece){pieces, room, 0};
    pieces = piece;
  }
  u8 *at = (u8 *)pieces + HEAD + pieces->used;
  pieces->used += size;
  return at;
}

void enter(void) { depth++; }

void leave(void) {
  if (--depth) return;
#ifdef __wasm__
  // The first one stays: the next entry needs one as well.
  Piece *kept = NULL;
#endif
  while (pieces) {
    Piece *next = pieces->next;
#ifdef __wasm__
    if (!next && pieces->size == PIECE) {
      kept = pieces;
      kept->used = 0;
      break;
    }
#endif
    give(pieces);
    pieces = next;
  }
#ifdef __wasm__
  pieces = kept;
#endif
}
