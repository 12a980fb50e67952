// identity: headers that say what other filters found out, such as the claims of a token, and who asks.
#ifndef IDENTITY_H
#define IDENTITY_H

#include "header.h"

// Takes from the client what it says in these headers. With a default each says that until more is known: whatever
// fails after this, no client names its own value, and no limit misses its header.
void identity_cover(Headers *headers);
// Sets one of them from the metadata, if that says something.
void identity_tell(Headers *headers, const Told *told, Str metadata);
// All dynamic metadata of the stream: a protobuf Metadata (envoy.config.core.v3), which keeps what is text and what is a
// number apart, as single values that the host gives do not.
Str identity_metadata(void);

#endif
