// calls: what a stream asks the rate limit service itself, for which it waits: the check and booking of a prompt
// (`admission.mode: PrepaidPrompt`), and the charge of an answer before its end (`settle: Sync`).
#ifndef CALLS_H
#define CALLS_H

#include "stream.h"

// Admits the request and books its prompt, where the route has the filter do that. Says whether it has to wait.
bool calls_prepay(Stream *stream, const Headers *headers);
// Charges the answer now, where the route wants that. Says whether the piece in hand has to wait.
bool calls_book(Stream *stream);
// The stream is done: charges what is still due, where nobody else does. Nobody waits for that.
void calls_settle(Stream *stream);
// Nobody waits for the call under way any more.
void calls_abandon(Stream *stream);

#endif
