// admission: what happens to a request before it goes on by what it may take and who serves it: holds
// (`admission.mode: Reserve`), the backend that its model chooses, and the check and booking that the filter makes itself
// (`admission.mode: PrepaidPrompt`).
#ifndef ADMISSION_H
#define ADMISSION_H

#include "limits.h"
#include "rls.h"

// Sets aside what a request may take, until the answer says what it took: so many tokens of a prompt and of its answer,
// by the weights of each limit, at least 1, for what holds nothing would be admitted when all is used. The proxy's check
// counts what is `paid`; when the stream is done it gives back the `refund`, which is all of it unless an answer comes,
// and charges what is `due` beyond it.
void hold_set(Known *known, u32 prompt, double answer);

// Sees to it that the request names its backend: the client's choice, else the model's. Without a model (NULL) it is who
// takes the rest, else the first. Says why there is none; empty when there is one.
Str backend_choose(Headers *headers, const Str *model);

// The proxy's own check would find a booked prompt in the counter and might refuse the very request that paid for it. So
// the filter makes the same call, and an admitted request carries a header that no rule matches. The route takes it off
// behind the check, so that the proxy charges the rest when the stream is done. Where the service does not answer, the
// header is missing and the proxy asks, as it does for every other policy.
typedef struct {
  bool any; // a limit to tell the client of: its place among the limits, and what the service says
  u32 of;
  Status status;
} Told_of;

// Without its header a request is checked, so no client may send it.
void prepaid_cover(Headers *headers);
// The check, of every limit that applies; false when none does.
bool prepaid_prepare(Charges *charges, const Headers *headers);
// After the check: the limit that the client is to be told of. False when the service did not say.
bool prepaid_judge(Charges *charges, bool answered, u32 body_size, Told_of *told);
// For a request that goes on: what the answer will say, and what is left in `charges` to book its prompt; false when
// nothing is.
bool prepaid_admit(Charges *charges, Headers *headers, const Told_of *told);
// After the booking: notes what is paid. Without an answer nothing is, and the whole is charged at the end.
void prepaid_note(const Charges *charges, Known *known, bool answered, u32 body_size);

#endif
