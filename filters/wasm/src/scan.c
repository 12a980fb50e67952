#include "scan.h"

#include "json.h"

// A usage object with every detail that an API knows today has under 1 KiB; a longer one is given up.
enum { MAX_USAGE = 4096 };

// The keys that mean something. The first three are values that say usage themselves.
enum { K_DONE, K_PROMPT, K_COUNT, K_USAGE, K_METADATA, K_META, K_RESPONSE, K_MESSAGE, K_DELTA, K_CANDIDATES, KEYS };
static const Str KEY[KEYS] = {
    S("done"), S("prompt_eval_count"), S("eval_count"), S("usage"), S("usageMetadata"),
    S("meta"), S("response"),          S("message"),    S("delta"), S("candidates"),
};
enum { SCALARS = K_COUNT + 1 };

static bool carries(u32 key) { return key == K_USAGE || key == K_METADATA || key == K_META; }
// Inside of which `usage` holds usage, in events only: in a whole answer they are the model's words.
static bool nests(u32 key) { return key == K_RESPONSE || key == K_MESSAGE || key == K_DELTA; }

void scan_open(Scan *scan, Sink *sink, bool event) {
  *scan = (Scan){.sink = sink, .event = event, .outer = NONE, .inner = NONE};
}

void scan_free(Scan *scan) { free_buffer(&scan->usage); }

// Keeps bytes of what is being read.
static void keep(Scan *scan, Str bytes) {
  if (scan->reading == USAGE) {
    if (scan->usage.size + bytes.size > MAX_USAGE) {
      scan->reading = LOST_USAGE;
      scan->usage.size = 0;
    } else {
      add(&scan->usage, bytes);
    }
  } else if (scan->reading == NO_USAGE && scan->in_scalar) {
    u32 size = scan->scalar.size;
    if (size + bytes.size > SCAN_SCALAR) {
      scan->in_scalar = false;
    } else {
      copy(scan->scalar.text + size, bytes.at, bytes.size);
      scan->scalar.size = size + bytes.size;
    }
  }
}

static u32 key_of(Str raw) {
  Str name;
  if (!unescape(raw, &name)) return NONE;
  for (u32 i = 0; i < KEYS; i++) {
    if (same(KEY[i], name)) return i;
  }
  return NONE;
}

// Goes on inside a string; gives the position after it, or the end.
static u32 in_string(Scan *scan, Str body, u32 at) {
  u32 stop = string_end(body, at, &scan->odd);
  if (scan->naming && scan->name_size <= SCAN_KEY) {
    Str part = cut(body, at, stop == NONE ? body.size : stop - 1);
    part = cut(part, 0, SCAN_KEY + 1);
    copy(scan->name + scan->name_size, part.at, part.size);
    scan->name_size += part.size;
  }
  if (stop == NONE) return body.size;
  scan->quoted = false;
  if (scan->naming) {
    u32 key = key_of((Str){scan->name, scan->name_size});
    if (scan->within) {
      scan->inner = key;
    } else {
      scan->outer = key;
    }
    scan->naming = false;
  }
  return stop;
}

// Are keys, colons and commas at this depth read?
static bool reads(const Scan *scan) {
  i64 above = scan->depth - scan->base;
  return scan->item && (above == 1 || (above == 2 && scan->within));
}

static void end_scalar(Scan *scan) {
  if (!scan->in_scalar) return;
  Scalar *value = &scan->values[scan->outer];
  *value = scan->scalar;
  value->size++;
  scan->in_scalar = false;
}

static void begin_usage(Scan *scan) {
  scan->reading = USAGE;
  scan->usage.size = 0;
  scan->close = scan->depth - 1;
}

// A bracket opens. Says whether bytes are kept from there.
static bool open(Scan *scan, bool object) {
  scan->depth++;
  i64 above = scan->depth - scan->base;
  if (scan->depth == 1 && !object && !scan->event) {
    scan->base = 1;
  } else if (above == 1) {
    scan->item = object;
    scan->key = true;
    scan->outer = NONE;
    scan->candidates = false;
    for (u32 i = 0; i < SCALARS; i++) scan->values[i].size = 0;
  } else if (!scan->item || scan->reading) {
    return false;
  } else if (above == 2 && object && carries(scan->outer)) {
    begin_usage(scan);
    return true;
  } else if (above == 2 && object && scan->event && nests(scan->outer)) {
    scan->within = true;
    scan->key = true;
    scan->inner = NONE;
  } else if (above == 3 && object && scan->within && scan->inner == K_USAGE) {
    begin_usage(scan);
    return true;
  } else if (above == 3 && object && scan->outer == K_CANDIDATES) {
    scan->candidates = true;
  }
  return false;
}

// The usage object is whole.
static void tell_usage(Scan *scan) {
  if (scan->reading == USAGE) {
    if (scan->within) {
      sink_event(scan->sink,
                 JOIN(S("{\"type\":\"\",\""), KEY[scan->outer], S("\":{\"usage\":"), all(&scan->usage), S("}}")));
    } else {
      sink_usage(scan->sink, scan->outer == K_META, all(&scan->usage));
    }
  }
  scan->reading = NO_USAGE;
  free_buffer(&scan->usage);
}

// The item is whole. In an event all else was told when it was found.
static void tell_item(Scan *scan) {
  end_scalar(scan);
  const Scalar *values = scan->values;
  if (!scan->event && (values[K_DONE].size || values[K_PROMPT].size)) {
    Buffer out = SCRATCH;
    // Ollama's embeddings are not said to be done.
    add(&out, values[K_DONE].size ? S("{") : S("{\"done\":true"));
    for (u32 i = 0; i < SCALARS; i++) {
      if (!values[i].size) continue;
      add(&out, out.size > 1 ? S(",\"") : S("\""));
      add(&out, KEY[i]);
      add(&out, S("\":"));
      add(&out, (Str){values[i].text, values[i].size - 1});
    }
    add_byte(&out, '}');
    sink_event(scan->sink, all(&out));
  } else if (scan->base == 1 && scan->candidates) {
    sink_event(scan->sink, S("{\"candidates\":[0]}"));
  }
  scan->item = false;
  for (u32 i = 0; i < SCALARS; i++) scan->values[i].size = 0;
}

// A bracket closes at `at`. `from`: what is kept begins there.
static void close(Scan *scan, Str body, u32 from, u32 at) {
  scan->depth--;
  i64 above = scan->depth - scan->base;
  if (scan->reading && scan->depth == scan->close) {
    keep(scan, cut(body, from, at + 1));
    tell_usage(scan);
  }
  if (above == 1) {
    scan->within = false;
  } else if (above == 0 && scan->item) {
    keep(scan, cut(body, from, at));
    tell_item(scan);
  }
  scan->over = above < 0 || (scan->event && above == 0);
}

// One byte of structure at `at`. Gives where to keep bytes from.
static u32 structure(Scan *scan, Str body, u8 c, u32 from, u32 at) {
  switch (c) {
    case '"':
      scan->quoted = true;
      scan->odd = false;
      if (scan->key && !scan->reading && reads(scan)) {
        scan->naming = true;
        scan->name_size = 0;
      }
      return from;
    case '{': case '[': return open(scan, c == '{') ? at : from;
    case '}': case ']': close(scan, body, from, at); return from;
    case ':':
      scan->key = false;
      if (!scan->within && scan->outer < SCALARS) {
        scan->in_scalar = true;
        scan->scalar.size = 0;
        return at + 1;
      }
      return from;
    default:
      keep(scan, cut(body, from, at));
      end_scalar(scan);
      scan->key = true;
      return from;
  }
}

// What may end text or a number: quotes and brackets, and where keys are read (`all`) colons and commas as well.
static u32 next_mark(Str body, u32 at, bool all) {
  for (; at < body.size; at++) {
    switch (body.at[at]) {
      case '"': case '{': case '}': case '[': case ']': return at;
      case ':': case ',': if (all) return at;
    }
  }
  return NONE;
}

void scan_push(Scan *scan, Str body) {
  u32 at = 0, from = 0;
  while (at < body.size && !scan->over) {
    if (scan->quoted) {
      at = in_string(scan, body, at);
      continue;
    }
    if (scan->depth == 0) {
      // Blanks and a BOM may lead; what is neither object nor array has no usage.
      while (at < body.size && (body.at[at] == ' ' || body.at[at] == '\t' || body.at[at] == '\r' ||
                                body.at[at] == '\n' || body.at[at] == 0xef || body.at[at] == 0xbb || body.at[at] == 0xbf))
        at++;
      if (at == body.size) break;
      scan->over = body.at[at] != '{' && body.at[at] != '[';
      // Of what is no JSON nothing is read, not even a mark.
      if (scan->over) break;
    } else {
      at = next_mark(body, at, !scan->reading && reads(scan));
      if (at == NONE) break;
    }
    from = structure(scan, body, body.at[at], from, at);
    at++;
  }
  keep(scan, cut(body, from, body.size));
}
