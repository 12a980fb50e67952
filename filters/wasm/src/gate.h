// gate: holds the headers of requests for a filter that may not. Envoy Gateway writes wasm filters without
// `allow_on_headers_stop_iteration`: one that holds the headers never gets the body, and one that lets them go cannot
// change them any more. So there are two of this module in a row, the reader and the gate, each in a machine of its own.
// The reader lets the headers go, the gate holds them, and with them all that comes behind it. The reader gets the body,
// and leaves what is to become of the headers in a property. By a queue of the gate's it tells it that it has.
//
// Nothing depends on that message: the gate looks at every tick for what it may let go, and each of the two answers the
// request when the other one does not do its part, as one whose machine has stopped.
#ifndef GATE_H
#define GATE_H

#include "stream.h"

// A gate's queue, which no other machine has: there is one for each worker.
u32 gate_queue(void);
// The reader's headers are read as far as they can be: the gate is to hold them. What it says to the host.
u32 gate_shut(Stream *reader, const Headers *headers);
// The gate has got the headers. What it says to the host.
u32 gate_hold(Stream *gate);
// The reader has the body, and waits no longer than that for what it asks about the request.
void gate_expect(Stream *reader, u32 milliseconds);
// The reader is through with the request: the gate lets the headers go as they are to be. False: there is no gate that
// could, and the request is answered. Where the reader has held them itself there is nothing to do.
bool gate_release(Stream *reader);

#endif
