// settle: charges an answer before it ends (`admission.settle: Sync`). The proxy charges when a stream is done, after its
// last byte, and the next request can be quicker. Here the filter itself has the service charge, and the piece that
// completes the answer waits.
//
// Each limit has a property of its own, its `due`: what the proxy is to charge when the stream is done. The filter looks
// whether the service has the limits, sends the charge and clears what is due in one step, and looks until the counters
// show it. A charge that is sent is out of a client's reach: the host has the calls of all streams belong to the plugin.
//
// Where the proxy cannot read what is due (`rest`), the filter charges that itself when the stream is done, or all of it
// only then (`late`).
#ifndef SETTLE_H
#define SETTLE_H

#include "rls.h"

// Envoy breaks off an answer that has to wait with more bytes than its buffers take: 32 KiB in Envoy Gateway.
enum { MAX_HELD = 16384 };
// Without so much of its end a client does not know an event for the last: `data: [DONE]` and two line ends.
enum { TAIL_SIZE = 16 };

// On the request, once all headers are set: notes what they say, for the answer cannot see it.
void settle_note(Known *known, const Headers *headers);
// What an answer is to be charged; false when there is nothing.
bool settle_prepare(Charges *charges, Known *known);
// After the first look: makes the charges that the service has a limit for; says whether there are any. The others, and
// all when it did not answer, stay due.
bool settle_charge(Charges *charges, Known *known, bool answered, u32 body_size);
// Without a look: makes the charges, whatever comes of them. False: they could not be sent.
bool settle_rest(const Charges *charges);
// After a later look: do the counters show the charges? One with more left than before is in a new window.
bool settle_seen(const Charges *charges, bool answered, u32 body_size);

#endif
