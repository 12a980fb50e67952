#include "maxtokens.h"

#include "number.h"

static const Names NAMES = {MAXTOKENS_NAMES, (const Str[]){MAXTOKENS_LIST}};

// One row for each API: what its path may end in (in lower case), the names of the field, of which the first is set
// when there is none, the object that holds it by all its names (without one the body does), counts of answers that
// share the tokens, and the least value that means what it says. With `batch` a list of prompts has so many answers for
// each. A row without fields is an API that has no such field; a `mute` one makes no tokens. NONE ends a list.
typedef struct {
  Str ends[5];
  u32 fields[4], holders[3], counts[3];
  double least;
  bool mute, keep, batch;
} Row;

static const Row APIS[] = {
    // Ollama takes 0 for no end, here and at its own paths.
    {{S("/chat/completions")}, {MAX_COMPLETION_TOKENS, MAX_TOKENS, NONE}, {NONE}, {N, NONE}, 1},
    {{S("/completions")}, {MAX_TOKENS, NONE}, {NONE}, {N, BEST_OF, NONE}, 1, .batch = true},
    {{S("/responses")}, {MAX_OUTPUT_TOKENS, NONE}, {NONE}, {NONE}},
    {{S("/messages"), S("/v2/chat")}, {MAX_TOKENS, NONE}, {NONE}, {NONE}},
    {{S(":generatecontent"), S(":streamgeneratecontent")},
     {G_MAX_OUTPUT_TOKENS, MAX_OUTPUT_TOKENS, NONE},
     {G_CONFIG, G_CONFIG_SNAKE, NONE},
     {CANDIDATE_COUNT, CANDIDATE_COUNT_SNAKE, NONE}},
    {{S("/converse"), S("/converse-stream")}, {B_MAX_TOKENS, NONE}, {B_CONFIG, NONE}, {NONE}},
    {{S("/api/chat"), S("/api/generate")}, {NUM_PREDICT, NONE}, {OPTIONS, NONE}, {NONE}, 1},
    {{S("/embeddings"), S("/embed"), S(":embedcontent"), S(":batchembedcontents"), S("/rerank")}, {NONE}, {NONE}, {NONE}, .mute = true},
    {{S("/count_tokens"), S(":counttokens")}, {NONE}, {NONE}, {NONE}, .mute = true},
    {{S("/audio/speech"), S("/audio/transcriptions"), S("/audio/translations")}, {NONE}, {NONE}, {NONE}},
    // Any other: what is there is held, nothing is set.
    {{S("")}, {MAX_TOKENS, MAX_COMPLETION_TOKENS, MAX_OUTPUT_TOKENS, NONE}, {NONE}, {N, NONE}, .keep = true, .batch = true},
};
enum { ROW_COUNT = sizeof APIS / sizeof APIS[0] };

static const Row *row_of(Str path) {
  for (u32 i = 0; i < ROW_COUNT - 1; i++) {
    for (u32 j = 0; j < 5 && APIS[i].ends[j].size; j++) {
      if (ends(path, APIS[i].ends[j])) return &APIS[i];
    }
  }
  return &APIS[ROW_COUNT - 1];
}

static double most_of(double one, double other) { return one > other ? one : other; }

// How many answers share the tokens, at least `least`. Some servers take a number in quotes.
static double sharers(Str body, const Spans *spans, const Row *row, double least) {
  for (const u32 *name = row->counts; *name != NONE; name++) {
    Str text = raw(body, spans, *name);
    u8 *bare = scratch(text.size);
    u32 size = 0;
    for (u32 i = 0; i < text.size; i++) {
      if (text.at[i] != '"') bare[size++] = text.at[i];
    }
    double count = __builtin_inf();
    if (same((Str){bare, size}, S("Infinity")) || to_number((Str){bare, size}, &count)) least = most_of(least, __builtin_ceil(count));
  }
  return least;
}

// How many prompts begin at `at`: of a list each text and each list of tokens. A list of tokens is one.
static double prompts(Str body, u32 at) {
  u32 count = 0;
  if (at == NONE || byte(body, at) != '[') return 1;
  do {
    at = solid(body, at + 1);
    int c = byte(body, at);
    count += c == '"' || c == '[' || c == '{';
    at = value_end(body, at);
    if (at == NONE) break; // an empty list has none
    at = solid(body, at);
  } while (byte(body, at) == ',');
  return most_of(1, count);
}

static bool fits(Str value, double least, double most, double *out) {
  return (byte(value, 0) == '-' || is_digit(byte(value, 0))) && to_number(value, out) && *out >= least && *out <= most;
}

// Holds the fields of one object, which begins at `at`; when it has none the first is set. Gives how long an answer may
// be: of several fields the longest, and no field says so on a path of no known API, nor does 0.
static double hold(Edits *edits, Str body, u32 at, const Spans *spans, const Row *row, double most) {
  bool any = row->keep;
  double longest = 0, asked;
  Str limit = decimal((u64)most);
  for (const u32 *name = row->fields; *name != NONE; name++) {
    if (!there(spans, *name)) continue;
    any = true;
    if (fits(raw(body, spans, *name), row->least, most, &asked)) {
      longest = most_of(longest, asked);
    } else {
      edit_replace(edits, spans->of[*name].from, spans->of[*name].to, limit);
      longest = most;
    }
  }
  if (!any) edit_insert(edits, body, at, JOIN(S("\""), NAMES.name[row->fields[0]], S("\":"), limit));
  return row->keep || longest < 1 ? most : longest;
}

static double share_of(double most, double share) { return most_of(1, __builtin_floor(most / share)); }

// The same for an API that has the field in an object: each that is there is held, what should be one and is none gives
// way, and without any the body gets one. Gives how long all answers together may be.
static double hold_inner(Edits *edits, Str body, u32 start, const Spans *found, const Row *row, double most) {
  static Spans inner[2];
  double share = 1, longest = 0;
  bool any = false;
  for (u32 i = 0; row->holders[i] != NONE; i++) {
    u32 name = row->holders[i];
    any = any || there(found, name);
    if (there(found, name) && members(body, found->of[name].from, &NAMES, &inner[i]) != NONE) {
      share = sharers(body, &inner[i], row, share);
    }
  }
  most = share_of(most, share);
  Str object = JOIN(S("{\""), NAMES.name[row->fields[0]], S("\":"), decimal((u64)most), S("}"));
  for (u32 i = 0; row->holders[i] != NONE; i++) {
    u32 name = row->holders[i];
    if (!there(found, name)) continue;
    Span span = found->of[name];
    if (byte(body, span.from) == '{') {
      longest = most_of(longest, hold(edits, body, span.from, &inner[i], row, most));
    } else {
      edit_replace(edits, span.from, span.to, object);
      longest = most;
    }
  }
  if (!any) {
    edit_insert(edits, body, start, JOIN(S("\""), NAMES.name[row->holders[0]], S("\":"), object));
    longest = most;
  }
  return share * longest;
}

double maxtokens_hold(Edits *edits, Str body, u32 start, const Spans *found, u32 prompt, Str path, double most) {
  const Row *row = row_of(path);
  if (row->holders[0] != NONE) return hold_inner(edits, body, start, found, row, most);
  if (row->fields[0] != NONE) {
    double share = sharers(body, found, row, 1) * (row->batch ? prompts(body, prompt) : 1);
    return share * hold(edits, body, start, found, row, share_of(most, share));
  }
  return row->mute ? 0 : most;
}
