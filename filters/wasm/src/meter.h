// meter: what an answer costs so far, and the filter state that says so. Estimates (DESIGN 4.3) stand until usage is
// reported and never replace it.
//
// Envoy's wasm has no call for dynamic metadata. What the Lua filter writes there this one writes as properties, which
// Envoy keeps as filter state: `wasm.total_tokens`.
#ifndef METER_H
#define METER_H

#include "context.h"

typedef enum { NO_SOURCE, REPORTED, ESTIMATED, FIXED_SOURCE, NONE_SOURCE } Source;

// What is known of a stream, from its request to its answer, and written as properties.
typedef struct {
  const Context *context;
  bool fault;   // something has failed: what runs is left alone until the fault is noted
  bool seen;    // the filter has seen the request
  u32 faults;
  u32 *value;   // by slot
  u8 *is;       // by slot: IS_SET, it is a property; IS_PUT, this answer has put it there
  Source source;
  bool source_put;
  Str model, api;
  Buffer names; // memory of the model's name
  u32 estimate; // of the prompt
  bool forced, unmetered, unestimated;
  u32 told_of;
  u64 told_left, told_reset;
  u32 said;     // what headers of the request said, for the answer: pairs in `saying`
  Pair *saying;
  Str kept;     // where a gate holds the headers of the request: what they are, and what is to become of them
  Buffer edits;
} Known;

typedef struct {
  Known *known;
  bool streamed;     // the answer is a stream of events
  bool ended;        // an event has come after which clients do not read on
  u64 deltas;        // of a stream, one token each
  u64 weight;        // of its events of no known shape, in tokens
  u64 bytes;         // of the answer, a quarter of a token each when it is no stream
  u32 heard;         // reports
  bool has_base, has_report, fresh; // fresh: the report is not written yet
  Fields fields;     // of the first report and what overrode them
  Numbers base, reported;
} Meter;

enum { IS_SET = 1, IS_PUT = 2 };

void known_open(Known *known, const Context *context);
// Goes over to another context, as the request has to another route.
void known_move(Known *known, const Context *context);
void known_free(Known *known);

// Each sets a property unless something has failed; that fails when the host refuses.
void set_slot(Known *known, u32 slot, u32 value);
void set_number(Known *known, Str name, u64 value);
void set_text(Known *known, Str name, Str value);
// What is charged when nothing else gets a chance to say so.
void meter_default(Known *known);
void meter_no_costs(Known *known);
// What the request asks for.
void meter_asked(Known *known, Str model, u32 estimate);
void meter_api(Known *known, Str api);
void meter_note_fault(Known *known, Str message);

void meter_open(Meter *meter, Known *known);
void meter_delta(Meter *meter);
void meter_weigh(Meter *meter, u32 bytes);
// A first report, of the prompt; the last one overrides it field by field.
void meter_begin(Meter *meter, const Fields *fields);
void meter_report(Meter *meter, const Fields *fields);
// Brings the properties up to date, while the answer goes on; the same for a whole answer.
void meter_write(Meter *meter);
void meter_finish(Meter *meter);

#endif
