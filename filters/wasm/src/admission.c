#include "admission.h"

void hold_set(Known *known, u32 prompt, double answer) {
  const Context *context = known->context;
  answer = answer < MAX_CHARGE ? answer : MAX_CHARGE;
  for (u32 i = 0; i < context->holds; i++) {
    const Hold *hold = &context->hold[i];
    u32 hits = clamp_sum((prompt * hold->prompt + answer * hold->completion) / hold->scale);
    hits = hits ? hits : 1;
    set_slot(known, hold->paid, hits);
    set_slot(known, hold->refund, hits);
    set_slot(known, hold->due, 0);
  }
}

static const Backend *serving(const Context *context, Str model) {
  for (u32 i = 0; i < context->backends; i++) {
    for (u32 j = 0; j < context->backend[i].models; j++) {
      if (same(context->backend[i].model[j], model)) return &context->backend[i];
    }
  }
  return NULL;
}

Str backend_choose(Headers *headers, const Str *model) {
  const Context *context = headers->known->context;
  Str named;
  if (header_settle(headers, context->backend_header, NULL, &named)) {
    for (u32 i = 0; i < context->backends; i++) {
      if (same(context->backend[i].name, named)) return S("");
    }
    return JOIN(S("The backend `"), named, S("` does not exist."));
  }
  const Backend *chosen = model ? serving(context, *model) : NULL;
  if (!chosen) chosen = serving(context, S("*"));
  if (!chosen && !model && context->backends) chosen = context->backend;
  if (chosen) {
    header_set(headers, context->backend_header, chosen->name);
    return S("");
  }
  if (!model || same(*model, S("unknown"))) {
    return S("No model could be read from the request, and no backend takes such requests.");
  }
  return JOIN(S("The model `"), *model, S("` does not exist or you do not have access to it."));
}

void prepaid_cover(Headers *headers) { header_remove(headers, headers->known->context->prepay.header); }

static bool said(const void *headers, Str name, Str *value) { return header_get(headers, name, value); }

bool prepaid_prepare(Charges *charges, const Headers *headers) {
  const Calls *calls = &headers->known->context->prepay;
  charges_open(charges, calls);
  for (u32 i = 0; i < calls->counters; i++) {
    const Counter *counter = &calls->counter[i];
    // For the check the hits are what it costs.
    if (!charges_add(charges, counter, counter->check, said, headers)) {
      headers->known->fault = true;
      return false;
    }
  }
  return charges->count;
}

// Of two limits the one that the client is told of: one that refuses, else the one with less left.
static bool tighter(const Status *status, const Told_of *other) {
  if (!other->any || status->over != other->status.over) return !other->any || status->over;
  return status->left < other->status.left;
}

bool prepaid_judge(Charges *charges, bool answered, u32 body_size, Told_of *told) {
  Status *statuses = scratch(charges->count * sizeof(Status));
  *told = (Told_of){0};
  if (!rls_statuses(answered, body_size, charges->count, statuses)) return false;
  for (u32 i = 0; i < charges->count; i++) {
    Charge *charge = &charges->charge[i];
    charge->known = statuses[i].known;
    if (statuses[i].known && tighter(&statuses[i], told)) *told = (Told_of){true, charge->counter->of, statuses[i]};
  }
  return true;
}

// What a prompt of so many tokens costs by a limit.
static u32 price(const Context *context, const Counter *counter, u32 tokens) {
  if (counter->key == COMPLETION) return 0;
  for (u32 i = 0; i < context->costs; i++) {
    if (context->cost[i].slot == counter->key) {
      return cost_sum(&context->cost[i], &(Numbers){.prompt = tokens, .total = tokens});
    }
  }
  return tokens;
}

bool prepaid_admit(Charges *charges, Headers *headers, const Told_of *told) {
  Known *known = headers->known;
  header_set(headers, charges->calls->header, S("yes"));
  if (told->any) {
    set_number(known, S("told_of"), told->of);
    set_number(known, S("told_left"), told->status.left);
    set_number(known, S("told_reset"), told->status.reset);
    known->told_of = told->of;
    known->told_left = told->status.left;
    known->told_reset = told->status.reset;
  }
  u32 tokens = known->unestimated ? 0 : known->estimate, kept = 0;
  for (u32 i = 0; i < charges->count; i++) {
    Charge charge = charges->charge[i];
    bool paid = charge.known && charge.counter->paid != NONE;
    charge.hits = paid ? price(known->context, charge.counter, tokens) : 0;
    if (charge.hits) charges->charge[kept++] = charge;
  }
  charges->count = kept;
  return kept;
}

void prepaid_note(const Charges *charges, Known *known, bool answered, u32 body_size) {
  Status *statuses = scratch(charges->count * sizeof(Status));
  if (!rls_statuses(answered, body_size, charges->count, statuses)) return;
  for (u32 i = 0; i < charges->count; i++) {
    if (statuses[i].known) set_slot(known, charges->charge[i].counter->paid, charges->charge[i].hits);
  }
}
