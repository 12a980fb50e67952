// maxtokens: holds the answer that a body asks for to so many tokens, whatever the API calls it.
#ifndef MAXTOKENS_H
#define MAXTOKENS_H

#include "edits.h"

// What it looks for in bodies and in objects that hold it.
enum {
  MAX_COMPLETION_TOKENS,
  MAX_TOKENS,
  MAX_OUTPUT_TOKENS,
  G_MAX_OUTPUT_TOKENS,
  B_MAX_TOKENS,
  NUM_PREDICT,
  G_CONFIG,
  G_CONFIG_SNAKE,
  B_CONFIG,
  OPTIONS,
  N,
  BEST_OF,
  CANDIDATE_COUNT,
  CANDIDATE_COUNT_SNAKE,
  MAXTOKENS_NAMES,
};
#define MAXTOKENS_LIST                                                                                      \
  S("max_completion_tokens"), S("max_tokens"), S("max_output_tokens"), S("maxOutputTokens"),                 \
      S("maxTokens"), S("num_predict"), S("generationConfig"), S("generation_config"), S("inferenceConfig"), \
      S("options"), S("n"), S("best_of"), S("candidateCount"), S("candidate_count")

// Lists the changes to a body, whose object begins at `start` and has the members `found` (the names above are the
// first of its list), that hold the answer to `most` tokens. How the path `ends` tells the API. Gives how many tokens
// the answers together may have then. `prompt` is where the body's prompt begins, NONE without one.
double maxtokens_hold(Edits *edits, Str body, u32 start, const Spans *found, u32 prompt, Str ends, double most);

#endif
