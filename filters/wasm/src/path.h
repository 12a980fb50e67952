// path: what the path of a request says: how it ends, which tells the API, and the model where the API puts it there.
// Read as upstreams read it: percent-decoded once, each segment on its own.
#ifndef PATH_H
#define PATH_H

#include "bytes.h"

// The path decoded, in lower case, without query and closing slash; and the model, where there is one.
Str path_read(Str raw, bool *has_model, Str *model);

#endif
