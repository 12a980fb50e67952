#include "settle.h"

// Nobody waits for the charge itself, so it may take long.
enum { BOOK_MS = 10000 };

void settle_note(Known *known, const Headers *headers) {
  const Calls *calls = &known->context->settle;
  if (!calls->there || known->saying) return;
  known->saying = take(calls->headers * sizeof(Pair));
  for (u32 i = 0; i < calls->headers; i++) {
    Str value;
    if (!header_get(headers, calls->headers_read[i], &value)) continue;
    u8 *kept = take_raw(value.size);
    copy(kept, value.at, value.size);
    known->saying[known->said++] = (Pair){calls->headers_read[i], {kept, value.size}};
  }
}

static bool said(const void *of, Str name, Str *value) {
  const Known *known = of;
  for (u32 i = 0; i < known->said; i++) {
    if (!same(known->saying[i].name, name)) continue;
    *value = known->saying[i].value;
    return true;
  }
  return false;
}

bool settle_prepare(Charges *charges, Known *known) {
  const Calls *calls = &known->context->settle;
  charges_open(charges, calls);
  for (u32 i = 0; i < calls->counters; i++) {
    const Counter *counter = &calls->counter[i];
    u32 hits = counter->due != NONE && (known->is[counter->due] & IS_SET) ? known->value[counter->due] : 0;
    if (hits && !charges_add(charges, counter, hits, said, known)) {
      known->fault = true;
      return false;
    }
  }
  return charges->count;
}

bool settle_charge(Charges *charges, Known *known, bool answered, u32 body_size) {
  Status *statuses = scratch(charges->count * sizeof(Status));
  if (!rls_statuses(answered, body_size, charges->count, statuses)) return false;
  u32 kept = 0, token;
  for (u32 i = 0; i < charges->count; i++) {
    if (!statuses[i].known) continue;
    Charge charge = charges->charge[i];
    charge.left = statuses[i].left;
    charges->charge[kept++] = charge;
  }
  charges->count = kept;
  if (!kept) return false;
  if (!rls_call(charges, true, BOOK_MS, &token)) {
    known->fault = true;
    return false;
  }
  for (u32 i = 0; i < kept; i++) set_slot(known, charges->charge[i].counter->due, 0);
  return true;
}

bool settle_rest(const Charges *charges) {
  u32 token;
  return rls_call(charges, true, BOOK_MS, &token);
}

bool settle_seen(const Charges *charges, bool answered, u32 body_size) {
  Status *statuses = scratch(charges->count * sizeof(Status));
  if (!rls_statuses(answered, body_size, charges->count, statuses)) return true;
  for (u32 i = 0; i < charges->count; i++) {
    const Charge *charge = &charges->charge[i];
    u64 left = statuses[i].left, after = charge->left > charge->hits ? charge->left - charge->hits : 0;
    if (statuses[i].known && left > after && left <= charge->left) return false;
  }
  return true;
}
