#include "costs.h"

static double least(double one, double other) { return one < other ? one : other; }

u32 cost_sum(const Cost *weights, const Numbers *now) {
  double prompt = now->prompt, completion = now->completion;
  if (prompt == 0 && completion == 0) prompt = now->total;
  double cached = least(now->cached, prompt), cache_write = least(now->cache_write, prompt - cached);
  double reasoning = least(now->reasoning, completion);
  // Every step below 2^53 is exact, and with six decimals what is above it is above the clamp by far.
  double sum = (prompt - cached - cache_write) * weights->prompt + cached * weights->cached +
               cache_write * weights->cache_write + (completion - reasoning) * weights->completion +
               reasoning * weights->reasoning;
  return clamp_sum(sum / weights->scale);
}
