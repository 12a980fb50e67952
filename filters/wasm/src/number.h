// number: decimal text to doubles and back, rounded as C libraries do.
#ifndef NUMBER_H
#define NUMBER_H

#include "bytes.h"

// Text that is one decimal number and nothing else, but for blanks around it.
bool to_number(Str s, double *out);
// A whole number; false for anything else, and above 2^53.
bool to_whole(Str s, u64 *out);
// As a policy would write it: whole ones without a point, others as short as they can be told apart.
Str number_text(double value);

#endif
