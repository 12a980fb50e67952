#include "meter.h"

void known_open(Known *known, const Context *context) {
  known->context = context;
  known->value = take(context->slots * sizeof(u32));
  known->is = take(context->slots);
  known->model = S("unknown");
  known->api = S("openai");
}

void known_move(Known *known, const Context *context) {
  const Context *old = known->context;
  u32 *value = known->value;
  u8 *is = known->is;
  known->value = take(context->slots * sizeof(u32));
  known->is = take(context->slots);
  for (u32 i = 0; i < context->slots; i++) {
    for (u32 j = 0; j < old->slots; j++) {
      if (!same(context->slot[i], old->slot[j])) continue;
      known->value[i] = value[j];
      known->is[i] = is[j];
    }
  }
  known->context = context;
  give(value);
  give(is);
}

void known_free(Known *known) {
  give(known->value);
  give(known->is);
  free_buffer(&known->names);
  for (u32 i = 0; i < known->said; i++) give((void *)known->saying[i].value.at);
  give(known->saying);
  give((void *)known->kept.at);
  free_buffer(&known->edits);
}

void set_text(Known *known, Str name, Str value) {
  if (known->fault) return;
  known->fault = proxy_set_property(name.at, name.size, value.at, value.size) != OK;
}

void set_number(Known *known, Str name, u64 value) { set_text(known, name, decimal(value)); }

void set_slot(Known *known, u32 slot, u32 value) {
  if (slot == NONE || known->fault) return;
  set_number(known, known->context->slot[slot], value);
  if (known->fault) return;
  known->value[slot] = value;
  known->is[slot] |= IS_SET;
}

void meter_note_fault(Known *known, Str message) {
  Str line = JOIN(S("llmroute: "), message);
  proxy_log(LOG_ERROR, line.at, line.size);
  known->fault = false;
  set_number(known, S("filter_error"), ++known->faults);
  known->fault = false;
}

void meter_default(Known *known) {
  for (u32 i = 0; i < FIXED_SLOTS; i++) set_slot(known, i, 0);
  set_text(known, S("usage_source"), S("none"));
  set_text(known, S("model"), S("unknown"));
  set_text(known, S("api"), S("openai"));
}

void meter_no_costs(Known *known) {
  for (u32 i = 0; i < known->context->costs; i++) set_slot(known, known->context->cost[i].slot, 0);
}

void meter_asked(Known *known, Str model, u32 estimate) {
  set_text(known, S("model"), model);
  if (known->fault) return;
  free_buffer(&known->names);
  add(&known->names, model);
  known->model = all(&known->names);
  set_number(known, S("prompt_estimate"), estimate);
  if (!known->fault) known->estimate = estimate;
}

void meter_api(Known *known, Str api) {
  set_text(known, S("api"), api);
  if (!known->fault) known->api = api;
}

void meter_open(Meter *meter, Known *known) {
  *meter = (Meter){.known = known};
  const Context *context = known->context;
  for (u32 i = 0; i < context->slots; i++) known->is[i] &= IS_SET;
  // What `meter_default` has set.
  for (u32 i = 0; i < NO_COST; i++) {
    known->value[i] = 0;
    known->is[i] |= IS_PUT;
  }
  known->source = NONE_SOURCE;
  known->source_put = true;
}

void meter_delta(Meter *meter) {
  meter->deltas++;
  meter->streamed = true;
}

void meter_weigh(Meter *meter, u32 bytes) { meter->weight += ((u64)bytes + 3) / 4; }

void meter_begin(Meter *meter, const Fields *fields) {
  meter->heard++;
  meter->fields = *fields;
  meter->base = usage_numbers(fields);
  meter->has_base = true;
}

void meter_report(Meter *meter, const Fields *fields) {
  meter->heard++;
  if (meter->has_base) {
    for (u32 i = 0; i < MAX_NAMES; i++) {
      if (fields->has >> i & 1) meter->fields.value[i] = fields->value[i];
    }
    meter->fields.has |= fields->has;
    fields = &meter->fields;
  }
  meter->reported = usage_numbers(fields);
  meter->has_report = meter->fresh = true;
}

static Numbers estimate(const Meter *meter) {
  u64 seen = meter->streamed ? meter->deltas + meter->weight : (meter->bytes + 3) / 4;
  Numbers out = {.prompt = meter->known->estimate};
  if (meter->has_base) {
    out = meter->base;
    seen = seen < out.completion ? out.completion : seen;
  }
  out.completion = clamp(seen);
  out.total = clamp((u64)out.prompt + out.completion);
  return out;
}

static void put(Known *known, u32 slot, u32 value) {
  if (slot == NONE || ((known->is[slot] & IS_PUT) && known->value[slot] == value)) return;
  set_slot(known, slot, value);
  if (!known->fault) known->is[slot] |= IS_PUT;
}

// What a limit is still to be charged beyond what it was on admission, or to be given back of that.
static void owe(Known *known, u32 key, u32 paid, u32 due, u32 refund) {
  i64 rest = key != NONE && (known->is[key] & IS_PUT) ? known->value[key] : 0;
  if (paid != NONE && (known->is[paid] & IS_SET)) rest -= known->value[paid];
  put(known, due, rest > 0 ? (u32)rest : 0);
  put(known, refund, rest < 0 ? (u32)-rest : 0);
}

static Str source_name(Source source) {
  return source == REPORTED ? S("reported") : source == ESTIMATED ? S("estimated")
         : source == FIXED_SOURCE ? S("fixed") : S("none");
}

// `fixed`: every weighted sum is what is charged.
static void put_all(Meter *meter, Numbers now, Source source, bool fixed) {
  Known *known = meter->known;
  const Context *context = known->context;
  put(known, CACHED, now.cached);
  put(known, CACHE_WRITE, now.cache_write);
  put(known, REASONING, now.reasoning);
  put(known, PROMPT, now.prompt);
  put(known, COMPLETION, now.completion);
  put(known, TOTAL, now.total);
  if (!known->source_put || known->source != source) {
    set_text(known, S("usage_source"), source_name(source));
    if (!known->fault) {
      known->source = source;
      known->source_put = true;
    }
  }
  for (u32 i = 0; i < context->costs; i++) {
    put(known, context->cost[i].slot, fixed ? now.total : cost_sum(&context->cost[i], &now));
  }
  for (u32 i = 0; i < context->holds; i++) {
    const Hold *hold = &context->hold[i];
    owe(known, hold->key, hold->paid, hold->due, hold->refund);
  }
  const Calls *calls = context->settle.there ? &context->settle : &context->prepay;
  for (u32 i = 0; i < calls->counters; i++) {
    const Counter *counter = &calls->counter[i];
    owe(known, counter->key, counter->paid, counter->due, counter->refund);
  }
}

void meter_write(Meter *meter) {
  const Known *known = meter->known;
  if (known->context->free_on_disconnect || (meter->has_report && !meter->fresh)) return;
  meter->fresh = false;
  if (meter->has_report) {
    put_all(meter, meter->reported, REPORTED, false);
  } else if (!known->unestimated) {
    put_all(meter, estimate(meter), ESTIMATED, false);
  }
}

void meter_finish(Meter *meter) {
  const Known *known = meter->known;
  const Context *context = known->context;
  if (meter->has_report) {
    // Else the properties say so already.
    if (meter->fresh) put_all(meter, meter->reported, REPORTED, false);
    meter->fresh = false;
  } else if (known->unestimated || context->on_missing == FREE) {
    put_all(meter, (Numbers){0}, NONE_SOURCE, true);
  } else if (context->on_missing == FIXED) {
    u32 tokens = context->fixed_tokens;
    put_all(meter, (Numbers){tokens, tokens, tokens, 0, 0, 0}, FIXED_SOURCE, true);
  } else {
    put_all(meter, estimate(meter), ESTIMATED, false);
  }
}
