#include "usage.h"

#include "number.h"

enum {
  PROMPT_TOKENS,
  COMPLETION_TOKENS,
  TOTAL_TOKENS,
  PROMPT_DETAILS,
  COMPLETION_DETAILS,
  INPUT_TOKENS,
  CACHE_CREATION,
  CACHE_READ,
  OUTPUT_TOKENS,
  INPUT_DETAILS,
  OUTPUT_DETAILS,
  G_PROMPT,
  G_CANDIDATES,
  G_THOUGHTS,
  G_TOTAL,
  G_CACHED,
  B_INPUT,
  B_READ,
  B_WRITE,
  B_OUTPUT,
  B_TOTAL,
  O_PROMPT,
  O_COMPLETION,
  TOKENS,
  BILLED,
  NAMES,
};

static const Names FIELDS = {
    NAMES,
    (const Str[]){
        [PROMPT_TOKENS] = S("prompt_tokens"),
        [COMPLETION_TOKENS] = S("completion_tokens"),
        [TOTAL_TOKENS] = S("total_tokens"),
        [PROMPT_DETAILS] = S("prompt_tokens_details"),
        [COMPLETION_DETAILS] = S("completion_tokens_details"),
        [INPUT_TOKENS] = S("input_tokens"),
        [CACHE_CREATION] = S("cache_creation_input_tokens"),
        [CACHE_READ] = S("cache_read_input_tokens"),
        [OUTPUT_TOKENS] = S("output_tokens"),
        [INPUT_DETAILS] = S("input_tokens_details"),
        [OUTPUT_DETAILS] = S("output_tokens_details"),
        [G_PROMPT] = S("promptTokenCount"),
        [G_CANDIDATES] = S("candidatesTokenCount"),
        [G_THOUGHTS] = S("thoughtsTokenCount"),
        [G_TOTAL] = S("totalTokenCount"),
        [G_CACHED] = S("cachedContentTokenCount"),
        [B_INPUT] = S("inputTokens"),
        [B_READ] = S("cacheReadInputTokens"),
        [B_WRITE] = S("cacheWriteInputTokens"),
        [B_OUTPUT] = S("outputTokens"),
        [B_TOTAL] = S("totalTokens"),
        [O_PROMPT] = S("prompt_eval_count"),
        [O_COMPLETION] = S("eval_count"),
        [TOKENS] = S("tokens"),
        [BILLED] = S("billed_units"),
    },
};

static const Names CACHED = {1, &S("cached_tokens")};
static const Names REASONING = {1, &S("reasoning_tokens")};

// Of objects among them the one member that counts; it is known by the place of the object.
static const Names *inner_of(u32 name) {
  switch (name) {
    case PROMPT_DETAILS: case INPUT_DETAILS: return &CACHED;
    case COMPLETION_DETAILS: case OUTPUT_DETAILS: return &REASONING;
    default: return NULL;
  }
}

// One row per shape; the first that has a number counts. The members of a list are added up; of `cached` the first
// that is there counts. NONE ends a list and stands for what there is not.
typedef struct {
  u32 prompt[4], completion[3], total, cached[3], cache_write, reasoning;
} Row;

static const Row ROWS[] = {
    // OpenAI chat, completions, embeddings; Azure
    {{PROMPT_TOKENS, NONE}, {COMPLETION_TOKENS, NONE}, TOTAL_TOKENS, {PROMPT_DETAILS, NONE}, NONE, COMPLETION_DETAILS},
    // OpenAI responses, whose cached tokens are part of the input; Anthropic, whose are not; Cohere
    {{INPUT_TOKENS, CACHE_CREATION, CACHE_READ, NONE},
     {OUTPUT_TOKENS, NONE},
     TOTAL_TOKENS,
     {CACHE_READ, INPUT_DETAILS, NONE},
     CACHE_CREATION,
     OUTPUT_DETAILS},
    // Gemini
    {{G_PROMPT, NONE}, {G_CANDIDATES, G_THOUGHTS, NONE}, G_TOTAL, {G_CACHED, NONE}, NONE, G_THOUGHTS},
    // Bedrock Converse
    {{B_INPUT, B_READ, B_WRITE, NONE}, {B_OUTPUT, NONE}, B_TOTAL, {B_READ, NONE}, B_WRITE, NONE},
    // Ollama, at the top level
    {{O_PROMPT, NONE}, {O_COMPLETION, NONE}, NONE, {NONE}, NONE, NONE},
};
enum { ROW_COUNT = sizeof ROWS / sizeof ROWS[0] };

static bool has(const Fields *fields, u32 name) { return name != NONE && fields->has >> name & 1; }

static u32 value(const Fields *fields, u32 name) { return has(fields, name) ? fields->value[name] : 0; }

// The sum of a list, clamped; whether it has any of them.
static bool sum(const Fields *fields, const u32 *list, u32 *out) {
  u64 whole = 0;
  bool any = false;
  for (; *list != NONE; list++) {
    whole += value(fields, *list);
    any = any || has(fields, *list);
  }
  *out = clamp(whole);
  return any;
}

// The first row that has one of `prompt` and `completion`, else the first that has a total.
static const Row *row_of(const Fields *fields) {
  u32 ignored;
  for (u32 i = 0; i < ROW_COUNT; i++) {
    if (sum(fields, ROWS[i].prompt, &ignored) || sum(fields, ROWS[i].completion, &ignored)) return &ROWS[i];
  }
  for (u32 i = 0; i < ROW_COUNT; i++) {
    if (has(fields, ROWS[i].total)) return &ROWS[i];
  }
  return NULL;
}

// A number that is not negative, rounded up to a whole one.
static bool number(Str body, const Spans *found, u32 name, u32 *out) {
  Str text = raw(body, found, name);
  double parsed;
  if (!is_digit(byte(text, 0)) && !(byte(text, 0) == '-' && byte(text, 1) == '0')) return false;
  // "-0" is zero, "-0.5" is not.
  if (!to_number(text, &parsed) || parsed < 0) return false;
  *out = clamp_sum(parsed);
  return true;
}

static Spans found, details;

// The numbers of the object at `at`, by the names of the rows.
static bool flat(Str body, u32 at, Fields *out) {
  out->has = 0;
  if (members(body, at, &FIELDS, &found) == NONE) return false;
  for (u32 i = 0; i < NAMES; i++) {
    if (!there(&found, i)) continue;
    const Names *inner = inner_of(i);
    u32 one;
    if (!inner ? number(body, &found, i, &one)
               : members(body, found.of[i].from, inner, &details) != NONE && number(body, &details, 0, &one)) {
      out->value[i] = one;
      out->has |= 1u << i;
    }
  }
  return row_of(out) != NULL;
}

bool usage_fields(Str body, u32 at, bool wrapped, Fields *out) {
  if (flat(body, at, out) && !wrapped) return true;
  u32 tokens = found.of[TOKENS].from, billed = found.of[BILLED].from;
  return (tokens != NONE && flat(body, tokens, out)) || (billed != NONE && flat(body, billed, out));
}

Numbers usage_numbers(const Fields *fields) {
  const Row *row = row_of(fields);
  Numbers out = {0};
  if (!row) return out;
  sum(fields, row->prompt, &out.prompt);
  sum(fields, row->completion, &out.completion);
  out.total = has(fields, row->total) ? value(fields, row->total) : clamp((u64)out.prompt + out.completion);
  for (const u32 *name = row->cached; *name != NONE; name++) {
    if (has(fields, *name)) {
      out.cached = value(fields, *name);
      break;
    }
  }
  out.cache_write = value(fields, row->cache_write);
  out.reasoning = value(fields, row->reasoning);
  return out;
}
