// request: what a request says: the model, about how long the prompt is, and what to send instead so that usage is
// reported and the answer is no longer than it may be.
#ifndef REQUEST_H
#define REQUEST_H

#include "context.h"

typedef struct {
  Str model;      // or "unknown"
  u32 estimate;   // of the prompt in tokens
  bool rewritten; // there is another body to send
  Str body;
  bool forced;    // that asks for usage
  double longest; // how many tokens the answer may have then; negative where that is not known
} Asked;

// What goes for a body of `size` bytes that is not read: the model of the path, if any, and the estimate.
Asked request_unread(u64 size, const Str *in_path);
// What a body asks for. The path says how it `ends` and which model is `in_path`: the upstream goes by that one,
// whatever the body says. `kind` is the content type.
Asked request_read(Str body, Str ends, const Str *in_path, Str kind, const Context *context);
// The API by the end of the path: anthropic, gemini or openai, whose errors all others' clients understand.
Str request_api(Str ends);
// Is it a path that counts tokens and makes none?
bool request_counts(Str ends);

#endif
