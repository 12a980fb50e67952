// costs: weighted sums of an answer's tokens. Weights are whole numbers of 1/scale, so that a sum is exact.
#ifndef COSTS_H
#define COSTS_H

#include "usage.h"

// Fit to be used: a kind without a weight costs what the kind does that it is part of.
typedef struct {
  u32 slot; // of the key that says the sum
  double scale, prompt, cached, cache_write, completion, reasoning;
} Cost;

// What these numbers cost, rounded up. Parts never exceed what they are parts of. A total alone is what APIs without
// completion report (embeddings, reranking), so it is the prompt.
u32 cost_sum(const Cost *weights, const Numbers *now);

#endif
