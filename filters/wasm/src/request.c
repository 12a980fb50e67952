#include "request.h"

#include "maxtokens.h"
#include "multipart.h"

// Longer names are no model's, and headers have to stay small. With every byte written as \uXXXX the raw form is six
// times as long.
enum { MAX_MODEL = 256 };

// Where APIs take the prompt, from MESSAGES to QUERY; the first that is there is it.
enum {
  MODEL = MAXTOKENS_NAMES,
  STREAM,
  STREAM_OPTIONS,
  MESSAGES,
  PROMPT_,
  INPUT,
  CONTENTS,
  DOCUMENTS,
  TEXTS,
  QUERY,
  WANTED_COUNT,
};
static const Names WANTED = {
    WANTED_COUNT,
    (const Str[]){MAXTOKENS_LIST, S("model"), S("stream"), S("stream_options"), S("messages"), S("prompt"), S("input"),
     S("contents"), S("documents"), S("texts"), S("query")},
};
static const Names INCLUDE = {1, &S("include_usage")};
static Spans found;

static u32 quarter(u64 bytes) {
  u64 tokens = (bytes + 3) / 4;
  return tokens < 0xffffffffu ? (u32)tokens : 0xffffffffu;
}

// The name as the header says it.
static Str named(Str name) {
  Str usable;
  return header_value(name, &usable) && usable.size <= MAX_MODEL ? usable : S("unknown");
}

static Str model(Str body) {
  Str text = raw(body, &found, MODEL), plain;
  if (byte(text, 0) != '"') return S("unknown");
  Str inside = cut(text, 1, text.size - 1);
  return inside.size <= 6 * MAX_MODEL && unescape(inside, &plain) ? named(plain) : S("unknown");
}

// Lists the change that makes `stream_options.include_usage` true. Gives whether there is one: not when the client
// asked itself, does not stream, or sent what no API takes.
static bool with_usage(Edits *edits, Str body, u32 start) {
  static Spans inner;
  Span options = found.of[STREAM_OPTIONS];
  if (!same(raw(body, &found, STREAM), S("true")) || !(there(&found, MESSAGES) || there(&found, PROMPT_))) return false;
  if (!there(&found, STREAM_OPTIONS)) {
    edit_replace(edits, start + 1, start + 1, S("\"stream_options\":{\"include_usage\":true},"));
    return true;
  }
  if (byte(body, options.from) == 'n') {
    edit_replace(edits, options.from, options.to, S("{\"include_usage\":true}"));
    return true;
  }
  if (members(body, options.from, &INCLUDE, &inner) == NONE) return false;
  Str asked = raw(body, &inner, 0);
  if (!there(&inner, 0)) {
    edit_insert(edits, body, options.from, S("\"include_usage\":true"));
  } else if (same(asked, S("false")) || same(asked, S("null"))) {
    edit_replace(edits, inner.of[0].from, inner.of[0].to, S("true"));
  } else {
    return false;
  }
  return true;
}

static u32 estimate(Str body) {
  for (u32 name = MESSAGES; name <= QUERY; name++) {
    if (there(&found, name)) return quarter(found.of[name].to - found.of[name].from);
  }
  return quarter(body.size);
}

// The model of a body, of JSON or of a form. What is both and names two has none.
static Str in_body(Str body, bool json, Str kind) {
  Str in_json = json ? model(body) : S("unknown"), field = {0};
  if (same(kind, S("application/json"))) return in_json;
  Finding is = multipart_model(kind, body, &field);
  if (is == ABSENT) return in_json;
  field = is == PRESENT ? named(field) : S("unknown");
  return !json || same(in_json, field) ? field : S("unknown");
}

Asked request_unread(u64 size, const Str *in_path) {
  return (Asked){.model = in_path ? named(*in_path) : S("unknown"), .estimate = quarter(size), .longest = -1};
}

Str request_api(Str path) {
  u32 at = path.size;
  while (at > 0 && is_alpha(path.at[at - 1])) at--;
  if (at < path.size && at > 0 && path.at[at - 1] == ':' && find(path, S("models/"), 0) != NONE) return S("gemini");
  u32 last = path.size;
  bool below = true;
  while (last > 0 && path.at[last - 1] != '/') {
    last--;
    below = below && (is_alpha(path.at[last]) || path.at[last] == '_');
  }
  if (ends(path, S("/messages")) || (below && last < path.size && ends(cut(path, 0, last), S("/messages/")))) {
    bool other = find(path, S("/threads/"), 0) != NONE || find(path, S("/completions/"), 0) != NONE;
    return other ? S("openai") : S("anthropic");
  }
  return S("openai");
}

bool request_counts(Str path) { return ends(path, S(":counttokens")) || ends(path, S("/messages/count_tokens")); }

Asked request_read(Str body, Str path, const Str *in_path, Str kind, const Context *context) {
  u32 start = document(body, &WANTED, &found);
  Asked out = {.longest = -1};
  out.model = in_path ? named(*in_path) : in_body(body, start != NONE, kind);
  if (start == NONE) {
    out.estimate = quarter(body.size);
    return out;
  }
  Edits edits = {0};
  if (there(&found, STREAM) && ends(path, S("/completions")) && !context->keep_usage) {
    out.forced = with_usage(&edits, body, start);
  }
  if (context->max_tokens) out.longest = maxtokens_hold(&edits, body, start, &found, found.of[PROMPT_].from, path, context->max_tokens);
  out.estimate = estimate(body);
  out.rewritten = edits_apply(&edits, body, &out.body);
  return out;
}
