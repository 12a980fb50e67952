#include "context.h"

#include "number.h"

#define MODEL_HEADER S("x-ai-gateway-llm-model-name")
// What a route lets the proxy hold of a request unless it says otherwise.
#define BODY_LIMIT 4194304.0

static const Str SLOTS[FIXED_SLOTS] = {
    S("total_tokens"),       S("prompt_tokens"),    S("completion_tokens"), S("cached_tokens"),
    S("cache_write_tokens"), S("reasoning_tokens"), S("no_cost"),
};

// A value of the configuration: its text; empty when it is not there.
typedef Str Value;

static Contexts *owner;

// Memory that lives as long as the configuration.
static void *keep(u32 size) {
  if (owner->blocks % 64 == 0) {
    void **more = take((owner->blocks + 64) * sizeof(void *));
    copy(more, owner->block, owner->blocks * sizeof(void *));
    give(owner->block);
    owner->block = more;
  }
  void *block = take(size);
  owner->block[owner->blocks++] = block;
  return block;
}

static Str keep_text(Str text) {
  u8 *at = keep(text.size);
  copy(at, text.at, text.size);
  return (Str){at, text.size};
}

static bool is_text(Value value) { return byte(value, 0) == '"'; }
static bool is_object(Value value) { return byte(value, 0) == '{'; }
static bool is_list(Value value) { return byte(value, 0) == '['; }
static bool is_true(Value value) { return byte(value, 0) == 't'; }

static Value member_of(Value object, Str name) {
  Names names = {1, &name};
  Spans spans;
  if (members(object, 0, &names, &spans) == NONE) return (Value){0};
  return raw(object, &spans, 0);
}

// The next element of a list, or of an object where `key` gets its key; `*at` is 0 before the first.
static bool next(Value list, u32 *at, Str *key, Value *out) {
  *at = solid(list, *at ? *at : 1);
  if (byte(list, *at) == ',') *at = solid(list, *at + 1);
  if (byte(list, *at) == ']' || byte(list, *at) == '}') return false;
  if (key) {
    u32 stop = value_end(list, *at);
    if (stop == NONE || !unescape(cut(list, *at + 1, stop - 1), key)) return false;
    *at = solid(list, solid(list, stop) + 1);
  }
  u32 stop = value_end(list, *at);
  if (stop == NONE) return false;
  *out = cut(list, *at, stop);
  *at = stop;
  return true;
}

static u32 length(Value list) {
  u32 count = 0, at = 0;
  Value ignored;
  if (!is_list(list)) return 0;
  while (next(list, &at, NULL, &ignored)) count++;
  return count;
}

// A text that lives on; empty for what is none.
static Str text(Value value) {
  Str plain;
  return is_text(value) && unescape(cut(value, 1, value.size - 1), &plain) ? keep_text(plain) : (Str){0};
}

static double number(Value value, double otherwise) {
  double out;
  int c = byte(value, 0);
  return (is_digit(c) || c == '-') && to_number(value, &out) ? out : otherwise;
}

static double positive(Value value, double otherwise) {
  double out = number(value, otherwise);
  return out >= 0 ? out : otherwise;
}

static u32 small(Value value, u32 otherwise) {
  double out = number(value, otherwise);
  return out >= 0 && out <= 4294967295.0 ? (u32)out : otherwise;
}

static u32 slot(Context *context, Value name) {
  if (!is_text(name)) return NONE;
  Str key = text(name);
  for (u32 i = 0; i < context->slots; i++) {
    if (same(context->slot[i], key)) return i;
  }
  if (context->slots % 16 == 0) {
    Str *more = keep((context->slots + 16) * sizeof(Str));
    copy(more, context->slot, context->slots * sizeof(Str));
    context->slot = more;
  }
  context->slot[context->slots] = key;
  return context->slots++;
}

static u32 texts(Value list, Str **out) {
  u32 count = 0, at = 0;
  *out = keep(length(list) * sizeof(Str));
  Value one;
  while (is_list(list) && next(list, &at, NULL, &one)) (*out)[count++] = text(one);
  return count;
}

static void read_defaults(Context *context, Value given) {
  u32 at = 0, count = 0;
  Str name;
  Value value;
  if (!is_object(given)) return;
  while (next(given, &at, &name, &value)) count++;
  context->fallback = keep(count * sizeof(Pair));
  at = 0;
  while (next(given, &at, &name, &value)) {
    if (is_text(value)) context->fallback[context->defaults++] = (Pair){keep_text(name), text(value)};
  }
}

static void read_told(Context *context, Value given) {
  u32 at = 0;
  Value one;
  context->tell = keep(length(given) * sizeof(Told));
  while (is_list(given) && next(given, &at, NULL, &one)) {
    Value header = is_object(one) ? member_of(one, S("header")) : (Value){0};
    if (!is_text(header)) continue;
    Told *told = &context->tell[context->told++];
    Value path = member_of(one, S("path")), fallback = member_of(one, S("default"));
    told->header = text(header);
    told->space = text(member_of(one, S("namespace")));
    told->broken = !is_list(path);
    told->steps = texts(path, &told->path);
    Str usable;
    if (is_text(fallback) && header_value(text(fallback), &usable)) {
      told->has_fallback = true;
      told->fallback = usable;
    }
  }
}

static void read_costs(Context *context, Value given) {
  u32 at = 0;
  Value one;
  context->cost = keep(length(given) * sizeof(Cost));
  while (is_list(given) && next(given, &at, NULL, &one)) {
    Value key = is_object(one) ? member_of(one, S("key")) : (Value){0};
    if (!is_text(key)) continue;
    double scale = positive(member_of(one, S("scale")), 1);
    scale = scale < 1 ? 1 : scale;
    double prompt = positive(member_of(one, S("prompt")), scale);
    double completion = positive(member_of(one, S("completion")), scale);
    context->cost[context->costs++] = (Cost){
        .slot = slot(context, key),
        .scale = scale,
        .prompt = prompt,
        .cached = positive(member_of(one, S("cachedPrompt")), prompt),
        .cache_write = positive(member_of(one, S("cacheWrite")), prompt),
        .completion = completion,
        .reasoning = positive(member_of(one, S("reasoning")), completion),
    };
  }
}

static void read_holds(Context *context, Value given) {
  u32 at = 0;
  Value one;
  context->hold = keep(length(given) * sizeof(Hold));
  while (is_list(given) && next(given, &at, NULL, &one)) {
    if (!is_object(one) || !is_text(member_of(one, S("paid")))) continue;
    double scale = positive(member_of(one, S("scale")), 1);
    context->hold[context->holds++] = (Hold){
        .paid = slot(context, member_of(one, S("paid"))),
        .due = slot(context, member_of(one, S("due"))),
        .refund = slot(context, member_of(one, S("refund"))),
        .key = slot(context, member_of(one, S("key"))),
        .scale = scale < 1 ? 1 : scale,
        .prompt = positive(member_of(one, S("prompt")), 0),
        .completion = positive(member_of(one, S("completion")), 0),
    };
  }
}

static void read_backends(Context *context, Value given) {
  u32 at = 0;
  Value one;
  context->backend = keep(length(given) * sizeof(Backend));
  while (is_list(given) && next(given, &at, NULL, &one)) {
    Value name = is_object(one) ? member_of(one, S("name")) : (Value){0};
    if (!is_text(name)) continue;
    Backend *backend = &context->backend[context->backends++];
    backend->name = text(name);
    backend->models = texts(member_of(one, S("models")), &backend->model);
  }
}

static void read_limits(Context *context, Value given) {
  u32 at = 0;
  Value one;
  context->limit = keep(length(given) * sizeof(Limit));
  while (is_list(given) && next(given, &at, NULL, &one)) {
    Limit *limit = &context->limit[context->limits++];
    limit->reported = -1;
    if (!is_object(one)) continue;
    limit->reported = number(member_of(one, S("reported")), -1);
    limit->window = number(member_of(one, S("window")), 0);
    limit->quantity = number(member_of(one, S("quantity")), -1);
    limit->kind = text(member_of(one, S("kind")));
    limit->unit = text(member_of(one, S("unit")));
    limit->what = text(member_of(one, S("what")));
    limit->held = is_true(member_of(one, S("held")));
    limit->whole = limit->quantity >= 0 && limit->kind.size;
  }
}

static void read_counter(Context *context, Counter *counter, Value given) {
  counter->due = slot(context, member_of(given, S("due")));
  counter->key = slot(context, member_of(given, S("key")));
  counter->paid = slot(context, member_of(given, S("paid")));
  counter->refund = slot(context, member_of(given, S("refund")));
  counter->check = small(member_of(given, S("check")), 0);
  counter->of = small(member_of(given, S("of")), 0);
  Value match = member_of(given, S("match")), entries = member_of(given, S("entries")), one;
  u32 at = 0;
  counter->broken = !is_list(match) || !is_list(entries);
  counter->match = keep(length(match) * sizeof(Pair));
  while (is_list(match) && next(match, &at, NULL, &one)) {
    if (!is_object(one)) continue;
    counter->match[counter->matches++] = (Pair){text(member_of(one, S("header"))), text(member_of(one, S("value")))};
  }
  at = 0;
  counter->entry = keep(length(entries) * sizeof(Entry));
  while (is_list(entries) && next(entries, &at, NULL, &one)) {
    if (!is_object(one)) continue;
    Value value = member_of(one, S("value"));
    counter->entry[counter->entries++] = (Entry){
        .key = text(member_of(one, S("key"))),
        .value = text(value),
        .header = text(member_of(one, S("header"))),
        .by_header = !is_text(value),
    };
  }
}

// A way to the rate limit service and what it counts there.
static void read_calls(Context *context, Calls *calls, Value given) {
  Value limits = is_object(given) ? member_of(given, S("limits")) : (Value){0}, one;
  if (!is_list(limits)) return;
  calls->there = true;
  calls->cluster = text(member_of(given, S("cluster")));
  calls->domain = text(member_of(given, S("domain")));
  calls->header = text(member_of(given, S("header")));
  calls->timeout = small(member_of(given, S("timeoutMs")), 1000);
  calls->rest = is_true(member_of(given, S("rest")));
  calls->late = is_true(member_of(given, S("late")));
  calls->headers = texts(member_of(given, S("headers")), &calls->headers_read);
  calls->counter = keep(length(limits) * sizeof(Counter));
  for (u32 at = 0; next(limits, &at, NULL, &one);) {
    if (is_object(one)) read_counter(context, &calls->counter[calls->counters++], one);
  }
}

static void read_usage(Context *context, Value given) {
  Str missing = text(member_of(given, S("onMissing")));
  context->on_missing = same(missing, S("Free")) ? FREE : same(missing, S("Fixed")) ? FIXED : ESTIMATE;
  context->fixed_tokens = clamp((u64)__builtin_floor(positive(member_of(given, S("fixedTokens")), 0)));
  context->free_on_disconnect = same(text(member_of(given, S("onDisconnect"))), S("Free"));
  context->keep_usage = same(text(member_of(given, S("includeUsage"))), S("Keep"));
}

static void read_context(Context *context, Value given) {
  context->slot = keep(16 * sizeof(Str));
  for (u32 i = 0; i < FIXED_SLOTS; i++) context->slot[context->slots++] = SLOTS[i];
  Str header = text(member_of(given, S("modelHeader")));
  context->model_header = header.size ? header : MODEL_HEADER;
  context->identity = text(member_of(given, S("identity")));
  context->backend_header = text(member_of(given, S("backendHeader")));
  double most = number(member_of(given, S("maxTokens")), 0);
  context->max_tokens = most >= 1 ? __builtin_floor(most) : 0;
  context->body_limit = positive(member_of(given, S("bodyLimit")), BODY_LIMIT);
  read_defaults(context, member_of(given, S("defaults")));
  read_told(context, member_of(given, S("metadata")));
  read_costs(context, member_of(given, S("costs")));
  read_holds(context, member_of(given, S("holds")));
  read_backends(context, member_of(given, S("backends")));
  read_limits(context, member_of(given, S("limits")));
  read_usage(context, member_of(given, S("usage")));
  read_calls(context, &context->settle, member_of(given, S("settle")));
  read_calls(context, &context->prepay, member_of(given, S("prepay")));
  context->gated = is_true(member_of(given, S("gated")));
}

static void index_routes(Contexts *contexts) {
  u32 most = 0;
  for (u32 i = 0; i < contexts->count; i++) most += contexts->context[i].routes;
  routes_open(&contexts->of, most);
  for (u32 i = 0; i < contexts->count; i++) {
    const Context *context = &contexts->context[i];
    if (context->every_route && !contexts->every) contexts->every = context;
    for (u32 j = 0; j < context->routes; j++) routes_add(&contexts->of, context->route[j], context);
  }
}

void contexts_read(Contexts *contexts, Str configuration) {
  owner = contexts;
  Str keys[] = {S("contexts"), S("gate")};
  Names wanted = {2, keys};
  Spans found;
  u32 start = document(configuration, &wanted, &found), at = 0;
  Value list = start == NONE ? (Value){0} : raw(configuration, &found, 0), one;
  contexts->gate = start != NONE && is_true(raw(configuration, &found, 1));
  // One more, for routes that nobody has a context for.
  contexts->context = keep((length(list) + 1) * sizeof(Context));
  while (is_list(list) && next(list, &at, NULL, &one)) {
    Context *context = &contexts->context[contexts->count++];
    Value routes = member_of(one, S("routes"));
    context->every_route = !is_list(routes);
    context->routes = texts(routes, &context->route);
    read_context(context, member_of(one, S("context")));
  }
  read_context(&contexts->context[contexts->count], (Value){0});
  index_routes(contexts);
}

void contexts_free(Contexts *contexts) {
  for (u32 i = 0; i < contexts->blocks; i++) give(contexts->block[i]);
  give(contexts->block);
  routes_free(&contexts->of);
  *contexts = (Contexts){0};
}

const Context *context_of(const Contexts *contexts, Str name) {
  const Context *every = contexts->every, *found = routes_find(&contexts->of, name);
  if (every && (!found || every < found)) return every;
  return found ? found : &contexts->context[contexts->count];
}
