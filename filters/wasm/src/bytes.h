// bytes: stretches of bytes, and buffers that grow. Positions count from 0; NONE is no position.
#ifndef BYTES_H
#define BYTES_H

#include "memory.h"

#define NONE 0xffffffffu

typedef struct {
  const u8 *at;
  u32 size;
} Str;

#define S(literal) ((Str){(const u8 *)(literal), sizeof(literal) - 1})

// The byte at a position, or -1 past the end.
static inline int byte(Str s, u32 at) { return at < s.size ? s.at[at] : -1; }

// From one position up to another, both held within the bytes.
Str cut(Str s, u32 from, u32 to);
Str from(Str s, u32 at);

static inline u8 lower(u8 c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; }
static inline bool is_digit(int c) { return c >= '0' && c <= '9'; }
static inline bool is_alpha(int c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static inline bool is_blank(int c) { return c == ' ' || c == '\t'; }
static inline bool is_space(int c) { return c == ' ' || (c >= 9 && c <= 13); }

bool same(Str one, Str other);
bool starts(Str s, Str with);
bool ends(Str s, Str with);
// The first place of a byte, or of other bytes, from `at` on.
u32 find_byte(Str s, u8 c, u32 at);
u32 find(Str s, Str what, u32 at);
// A copy in lower case, in scratch memory.
Str lowered(Str s);
// Without blanks at both ends.
Str trimmed(Str s);

// Bytes that grow. They live until they are freed; those in scratch memory until the host gets control back.
typedef struct {
  u8 *at;
  u32 size, room;
  bool scratch;
} Buffer;

#define SCRATCH ((Buffer){.scratch = true})

void add(Buffer *buffer, Str bytes);
void add_byte(Buffer *buffer, u8 c);
void add_number(Buffer *buffer, u64 number);
void free_buffer(Buffer *buffer);
static inline Str all(const Buffer *buffer) { return (Str){buffer->at, buffer->size}; }

// Several together, in scratch memory.
Str join(u32 count, const Str *parts);
#define JOIN(...) join(sizeof((Str[]){__VA_ARGS__}) / sizeof(Str), (Str[]){__VA_ARGS__})
Str decimal(u64 number);

#endif
