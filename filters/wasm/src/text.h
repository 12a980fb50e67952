// text: what JSON strings hold (escapes) and what may go into headers (UTF-8, no controls).
#ifndef TEXT_H
#define TEXT_H

#include "bytes.h"

// Does every backslash begin a known escape?
bool escapes_ok(Str json);
// The text that the inside of a JSON string stands for; false for a broken escape or half a surrogate pair.
bool unescape(Str raw, Str *out);
// UTF-8 without surrogates and overlong forms: anything else breaks the rate limit call, and a broken call admits.
bool is_utf8(Str value);
// The value as a header can carry it, without blanks around it; false when nothing is left or no header can.
bool header_value(Str value, Str *out);
// A string literal of JSON, for text without control characters.
void add_quoted(Buffer *out, Str value);

#endif
