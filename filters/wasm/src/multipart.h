// multipart: the field `model` of a form. Parsers differ in what they let pass, so a form that two of them could read
// differently has no model that can be told. Time is linear: parts are found by plain searches.
#ifndef MULTIPART_H
#define MULTIPART_H

#include "bytes.h"

typedef enum { ABSENT, PRESENT, UNCLEAR } Finding;

// The field `model` of a body of this content type: absent when it is no form or has none.
Finding multipart_model(Str kind, Str body, Str *model);

#endif
