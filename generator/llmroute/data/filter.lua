-- The llmroute filter: meters LLM traffic and sets what its limits select on.
-- Generated from filters/lua/src by tools/bundle_filter.py; change it there. Apache-2.0.
local text = (function()
local byte, char, concat, find, floor = string.byte, string.char, table.concat, string.find, math.floor
local gsub, match, sub, tonumber = string.gsub, string.match, string.sub, tonumber
local ESCAPES = {
[34] = '"',
[47] = "/",
[92] = "\\",
[98] = "\b",
[102] = "\f",
[110] = "\n",
[114] = "\r",
[116] = "\t",
}
local text = {}
function text.escapes_ok(json)
local at = find(json, "\\", 1, true)
while at do
local c = byte(json, at + 1) or 0
if c == 117 then
if not find(json, "^%x%x%x%x", at + 2) then
return false
end
elseif not ESCAPES[c] then
return false
end
at = find(json, "\\", at + 2, true)
end
return true
end
local function utf8(code)
if code < 128 then
return char(code)
elseif code < 2048 then
return char(192 + floor(code / 64), 128 + code % 64)
elseif code < 65536 then
return char(224 + floor(code / 4096), 128 + floor(code / 64) % 64, 128 + code % 64)
end
return char(
240 + floor(code / 262144),
128 + floor(code / 4096) % 64,
128 + floor(code / 64) % 64,
128 + code % 64
)
end
function text.unescape(raw)
local at = find(raw, "\\", 1, true)
if not at then
return raw
end
local parts, n, from = {}, 0, 1
while at do
local c, width = byte(raw, at + 1), 2
local piece = ESCAPES[c or 0]
if c == 117 then
local code = tonumber(sub(raw, at + 2, at + 5), 16)
width = 6
if code and code >= 55296 and code < 56320 and sub(raw, at + 6, at + 7) == "\\u" then
local low = tonumber(sub(raw, at + 8, at + 11), 16) or 0
code = low >= 56320 and low < 57344 and 65536 + (code - 55296) * 1024 + low - 56320 or code
width = 12
end
piece = code and not (code >= 55296 and code < 57344) and utf8(code)
end
if not piece then
return nil
end
parts[n + 1], parts[n + 2] = sub(raw, from, at - 1), piece
n = n + 2
from = at + width
at = find(raw, "\\", from, true)
end
parts[n + 1] = sub(raw, from)
return concat(parts)
end
function text.is_utf8(value)
local at = find(value, "[\128-\255]")
while at do
local c, second = byte(value, at, at + 1)
local low, high, width = 128, 191, 2
if c >= 240 then
width = 4
low = c == 240 and 144 or low
high = c == 244 and 143 or high
elseif c >= 224 then
width = 3
low = c == 224 and 160 or low
high = c == 237 and 159 or high
end
if c < 194 or c > 244 or not second or second < low or second > high then
return false
end
for i = at + 2, at + width - 1 do
local more = byte(value, i)
if not more or more < 128 or more > 191 then
return false
end
end
at = find(value, "[\128-\255]", at + width)
end
return true
end
function text.header_value(value)
local inner = match(value, "^[ \t]*(.-)[ \t]*$")
if not inner or inner == "" or find(inner, "%c") or not text.is_utf8(inner) then
return nil
end
return inner
end
function text.quote(value)
local escaped = gsub(value, '["\\]', "\\%0")
return '"' .. escaped .. '"'
end
return text
end)()
local json = (function()
local byte, find, sub = string.byte, string.find, string.sub
local escapes_ok, unescape = text.escapes_ok, text.unescape
local MAX_DEPTH = 10000
local MAX_KEY = 20 * 6
local WORDS = { [116] = "true", [102] = "false", [110] = "null", [78] = "NaN", [73] = "Infinity" }
local json = {}
local function solid(body, at)
local c = byte(body, at)
if c and c > 32 then
return at
end
return find(body, "[^ \t\r\n]", at) or #body + 1
end
json.solid = solid
local function string_end(body, at, odd)
local from = odd and at + 1 or at
local quote = from - 1
while true do
quote = find(body, '"', quote + 1, true)
local stop = quote or #body + 1
local run = stop - 1
while run >= from and byte(body, run) == 92 do
run = run - 1
end
local escaped = (stop - run) % 2 == 0
if not quote then
return nil, escaped
elseif not escaped then
return quote + 1
end
end
end
json.string_end = string_end
local function scalar_end(body, at)
local c = byte(body, at)
local word = WORDS[c or 0]
if c == 45 and byte(body, at + 1) == 73 then
word = "-Infinity"
end
if word then
local stop = at + #word
return sub(body, at, stop - 1) == word and stop or nil
end
local first = c == 45 and at + 1 or at
local _, stop = find(body, "^%d+", first)
if not stop or (byte(body, first) == 48 and stop > first) then
return nil
end
local _, fraction = find(body, "^%.%d+", stop + 1)
stop = fraction or stop
local _, exponent = find(body, "^[eE][+-]?%d+", stop + 1)
return (exponent or stop) + 1
end
local function member(body, at)
if byte(body, at) ~= 34 then
return nil
end
local stop = string_end(body, at + 1)
if not stop then
return nil
end
local colon = solid(body, stop)
if byte(body, colon) ~= 58 then
return nil
end
return solid(body, colon + 1), stop
end
local function after_value(body, at, depth, objects)
while depth > 0 do
at = solid(body, at)
local c = byte(body, at)
if c == 44 then
at = solid(body, at + 1)
if objects[depth] then
at = member(body, at)
end
return at, depth
elseif c ~= (objects[depth] and 125 or 93) then
return nil
end
depth = depth - 1
at = at + 1
end
return at, 0
end
local function value_end(body, at)
local depth, objects = 0, nil
repeat
local c = byte(body, at)
local opened = false
if c == 34 then
at = string_end(body, at + 1)
elseif c == 123 or c == 91 then
if depth == MAX_DEPTH then
return nil
end
local object = c == 123
at = solid(body, at + 1)
if byte(body, at) == (object and 125 or 93) then
at = at + 1
else
objects = objects or {}
depth = depth + 1
objects[depth] = object
opened = true
if object then
at = member(body, at)
end
end
else
at = scalar_end(body, at)
end
if at and not opened then
at, depth = after_value(body, at, depth, objects)
end
until not at or depth == 0
return at
end
function json.names(...)
local list = { ... }
for i = 1, #list do
list[list[i]] = true
end
return list
end
function json.spans()
return { key = {}, from = {}, to = {} }
end
function json.members(body, at, wanted, spans)
for i = 1, #wanted do
spans.from[wanted[i]] = nil
end
if byte(body, at) ~= 123 then
return nil
end
at = solid(body, at + 1)
if byte(body, at) == 125 then
return at + 1
end
while true do
local from, key_end = member(body, at)
local to = from and value_end(body, from)
if not to then
return nil
end
if key_end - at <= MAX_KEY then
local name = unescape(sub(body, at + 1, key_end - 2))
if name and wanted[name] then
spans.key[name], spans.from[name], spans.to[name] = at, from, to
end
end
at = solid(body, to)
local c = byte(body, at)
if c == 125 then
return at + 1
elseif c ~= 44 then
return nil
end
at = solid(body, at + 1)
end
end
function json.document(body, wanted, spans)
local start = solid(body, sub(body, 1, 3) == "\239\187\191" and 4 or 1)
local stop = json.members(body, start, wanted, spans)
if stop and solid(body, stop) > #body and escapes_ok(body) then
return start
end
return nil
end
return json
end)()
local usage = (function()
local ceil, find, sub, tonumber = math.ceil, string.find, string.sub, tonumber
local names, spans = json.names, json.spans
local MAX_CHARGE = 1000000000
local FIELDS = names(
"prompt_tokens",
"completion_tokens",
"total_tokens",
"prompt_tokens_details",
"completion_tokens_details"
)
local CACHED = names("cached_tokens")
local REASONING = names("reasoning_tokens")
local usage = {}
function usage.clamp(value)
return value < MAX_CHARGE and value or MAX_CHARGE
end
local function number(body, found, name)
local from = found.from[name]
if not from or not find(body, "^%d", from) and not find(body, "^%-0", from) then
return nil
end
local value = tonumber(sub(body, from, found.to[name] - 1))
if not value or value < 0 then
return nil
end
return ceil(usage.clamp(value)) + 0
end
local function detail(body, found, name, wanted)
local from = found.from[name]
local inner = spans()
if from and json.members(body, from, wanted, inner) then
return number(body, inner, wanted[1])
end
return nil
end
function usage.read(body, at)
local found = spans()
if not json.members(body, at, FIELDS, found) then
return nil
end
local prompt = number(body, found, "prompt_tokens")
local completion = number(body, found, "completion_tokens")
local total = number(body, found, "total_tokens")
if not (prompt or completion or total) then
return nil
end
prompt, completion = prompt or 0, completion or 0
return {
prompt = prompt,
completion = completion,
total = total or usage.clamp(prompt + completion),
cached = detail(body, found, "prompt_tokens_details", CACHED) or 0,
reasoning = detail(body, found, "completion_tokens_details", REASONING) or 0,
}
end
return usage
end)()
local document = (function()
local byte, concat, find, min, sub = string.byte, table.concat, string.find, math.min, string.sub
local string_end, unescape = json.string_end, text.unescape
local MAX_USAGE = 4096
local MAX_KEY = 30
local document = {}
function document.new()
return {
depth = 0,
quoted = false,
odd = false,
key = false,
name = nil,
usage = false,
parts = nil,
size = 0,
over = false,
}
end
local function keep(state, body, from, to)
state.size = state.size + to - from + 1
if state.size > MAX_USAGE then
state.parts = nil
else
state.parts[#state.parts + 1] = sub(body, from, to)
end
end
local function in_string(state, body, at)
local stop, odd = string_end(body, at, state.odd)
if state.name then
local inner = min((stop or #body + 2) - 2, at + MAX_KEY)
state.name = #state.name <= MAX_KEY and state.name .. sub(body, at, inner) or state.name
end
if not stop then
state.odd = odd
return #body + 1
end
state.odd, state.quoted = false, false
if state.name then
state.usage = unescape(state.name) == "usage"
state.name = nil
end
return stop
end
local function structure(state, c, at)
if c == 34 then
state.quoted = true
if state.depth == 1 and state.key then
state.name = ""
end
elseif c == 58 then
state.key = false
elseif c == 44 then
state.key = true
elseif c == 123 or c == 91 then
state.depth = state.depth + 1
if state.depth == 2 and state.usage and c == 123 then
state.parts, state.size = {}, 0
return at
end
else
state.depth = state.depth - 1
state.over = state.depth == 0
end
return nil
end
function document.push(state, body)
local at, size, found = 1, #body, nil
local from = state.parts and 1
while at <= size and not state.over do
if state.quoted then
at = in_string(state, body, at)
elseif state.depth == 0 then
at = find(body, "[^ \t\r\n\239\187\191]", at)
if not at then
break
end
state.over = byte(body, at) ~= 123
state.depth, state.key = 1, true
at = at + 1
else
at = find(body, state.depth == 1 and '["{}%[%],:]' or '["{}%[%]]', at)
if not at then
break
end
from = structure(state, byte(body, at), at) or from
if state.depth == 1 and state.parts then
keep(state, body, from, at)
found = state.parts and concat(state.parts) or found
state.parts = nil
end
at = at + 1
end
end
if state.parts then
keep(state, body, from, size)
end
return found
end
return document
end)()
local sse = (function()
local byte, concat, find, sub = string.byte, table.concat, string.find, string.sub
local MAX_EVENT = 65536
local sse = {}
function sse.new(hold)
return {
hold = hold,
first = true,
cr = nil,
parts = {},
count = 0,
size = 0,
lost = false,
partial = false,
data = nil,
more = nil,
raw = {},
line = 0,
value = 0,
before = {},
lines = 0,
begun = {},
pieces = 0,
}
end
local function forget(state)
state.size, state.lost, state.partial, state.data, state.more, state.line = 0, false, false, nil, nil, 0
if #state.raw > 0 then
state.raw = {}
end
end
local function emit(out, bytes, ending)
if out then
out[#out + 1] = bytes
out[#out + 1] = ending
end
end
local function emit_all(out, list, count)
if out then
for i = 1, count do
out[#out + 1] = list[i]
end
end
end
local function give_up(state, out)
emit_all(out, state.raw, #state.raw)
emit_all(out, state.parts, state.count)
state.lost, state.partial = true, state.count > 0
state.raw, state.parts, state.count, state.data, state.more = {}, {}, 0, nil, nil
end
local function dispatch(state, sink, out)
if state.lost then
sink:lost()
elseif state.data then
local data = state.more and state.data .. "\n" .. concat(state.more, "\n") or state.data
local from, to = sink:event(data)
if state.hold and from == false then
forget(state)
return false
elseif state.hold and from and state.line > 0 then
local line, shift = state.raw[state.line], state.value - 1
state.raw[state.line] = sub(line, 1, shift + from - 1) .. sub(line, shift + to + 1)
end
end
emit_all(out, state.raw, #state.raw)
forget(state)
return true
end
local function data_value(line, start)
if sub(line, start, start + 3) ~= "data" then
return nil
end
local c = byte(line, start + 4)
if c == 58 then
return byte(line, start + 5) == 32 and start + 6 or start + 5
end
return not c and start + 4 or nil
end
local function field(state, out, line, ending, start)
local idle = state.size == 0
if idle and byte(line, start) == 58 then
emit(out, line, ending)
return
end
state.size = state.size + #line
local value = data_value(line, start)
if value and state.data then
state.more, state.line = state.more or {}, 0
state.more[#state.more + 1] = sub(line, value)
elseif value then
state.data, state.line, state.value = sub(line, value), #state.raw + 1, value
end
if state.hold then
state.raw[#state.raw + 1] = line .. ending
end
end
local function take(state, sink, out, tail, ending)
local start = 1
if state.lost then
local blank = not state.partial and tail == ""
emit(out, tail, ending)
state.partial = false
return not blank or dispatch(state, sink, out)
end
local line = tail
if state.count > 0 then
state.parts[state.count + 1] = tail
line = concat(state.parts, "", 1, state.count + 1)
state.size, state.parts, state.count = state.size - (#line - #tail), {}, 0
end
if state.first then
state.first = false
start = sub(line, 1, 3) == "\239\187\191" and 4 or 1
end
if state.size + #line > MAX_EVENT then
give_up(state, out)
emit(out, line, ending)
state.partial = false
return true
elseif #line >= start then
field(state, out, line, ending, start)
return true
end
if state.hold then
state.raw[#state.raw + 1] = line .. ending
end
return dispatch(state, sink, out)
end
local function begin(state, out, piece)
if state.lost then
state.partial = true
emit(out, piece)
return
end
state.count = state.count + 1
state.parts[state.count] = piece
state.size = state.size + #piece
if state.size > MAX_EVENT then
give_up(state, out)
end
end
local function late_lf(state, out)
if state.cr == "kept" and #state.raw > 0 then
state.raw[#state.raw + 1] = "\n"
elseif state.cr == "kept" then
emit(out, "\n")
end
end
function sse.push(state, body, sink)
local out = state.hold and {} or nil
local at, size = 1, #body
state.before, state.lines = state.raw, #state.raw
state.begun, state.pieces = state.parts, state.count
if state.cr and size > 0 then
if byte(body, 1) == 10 then
late_lf(state, out)
at = 2
end
state.cr = nil
end
local cr, lf = find(body, "\r", at, true), find(body, "\n", at, true)
while at <= size do
local stop = cr and lf and (cr < lf and cr or lf) or cr or lf
if not stop then
begin(state, out, sub(body, at))
break
end
local last = stop == cr and lf == stop + 1 and lf or stop
local kept = take(state, sink, out, sub(body, at, stop - 1), sub(body, stop, last))
if stop == size and stop == cr then
state.cr = kept and "kept" or "cut"
end
at = last + 1
if cr and cr < at then
cr = find(body, "\r", at, true)
end
if lf and lf < at then
lf = find(body, "\n", at, true)
end
end
return out and concat(out)
end
function sse.finish(state, sink)
local out = state.hold and {} or nil
if state.count > 0 then
take(state, sink, out, "", "")
end
dispatch(state, sink, out)
return out and concat(out)
end
function sse.held(state)
return concat(state.before, "", 1, state.lines) .. concat(state.begun, "", 1, state.pieces)
end
return sse
end)()
local meter = (function()
local ceil = math.ceil
local clamp = usage.clamp
local NAMESPACE = "llmroute"
local meter = {}
local function metadata(handle)
return handle:streamInfo():dynamicMetadata()
end
function meter.set(handle, key, value)
metadata(handle):set(NAMESPACE, key, value)
end
function meter.get(handle)
local known = metadata(handle):get(NAMESPACE)
return type(known) == "table" and known or {}
end
function meter.default(handle)
local out = metadata(handle)
out:set(NAMESPACE, "total_tokens", 0)
out:set(NAMESPACE, "prompt_tokens", 0)
out:set(NAMESPACE, "completion_tokens", 0)
out:set(NAMESPACE, "cached_tokens", 0)
out:set(NAMESPACE, "reasoning_tokens", 0)
out:set(NAMESPACE, "no_cost", 0)
out:set(NAMESPACE, "usage_source", "none")
out:set(NAMESPACE, "model", "unknown")
end
local function delta(self)
self.deltas = self.deltas + 1
end
local function report(self, reported)
self.reported = reported
end
local function put(self, out, key, value)
if self.written[key] ~= value then
out:set(NAMESPACE, key, value)
self.written[key] = value
end
end
local function write(self, handle)
local now = self.reported
if now and now == self.latest then
return
end
self.latest = now
local out = metadata(handle)
if now then
put(self, out, "cached_tokens", now.cached)
put(self, out, "reasoning_tokens", now.reasoning)
put(self, out, "prompt_tokens", now.prompt)
put(self, out, "completion_tokens", now.completion)
put(self, out, "total_tokens", now.total)
put(self, out, "usage_source", "reported")
else
local completion = clamp(self.deltas + ceil(self.bytes / 4))
put(self, out, "prompt_tokens", self.prompt)
put(self, out, "completion_tokens", completion)
put(self, out, "total_tokens", clamp(self.prompt + completion))
put(self, out, "usage_source", "estimated")
end
end
function meter.new(prompt)
return {
prompt = prompt,
deltas = 0,
bytes = 0,
reported = nil,
latest = nil,
written = {},
delta = delta,
report = report,
write = write,
}
end
return meter
end)()
local chunks = (function()
local byte, find, sub = string.byte, string.find, string.sub
local document, solid = json.document, json.solid
local WANTED = json.names("choices", "usage")
local chunks = {}
local function member_span(data, found)
local from, to = found.key.usage, found.to.usage - 1
local before = from - 1
while find(data, "^[ \t\r\n]", before) do
before = before - 1
end
if byte(data, before) == 44 then
return before, to
end
local after = solid(data, to + 1)
if byte(data, after) == 44 then
to = solid(data, after + 1) - 1
end
return from, to
end
local function event(self, data)
local found = self.found
if byte(data, solid(data, 1)) ~= 123 or not document(data, WANTED, found) then
return nil
end
local choices, at = found.from.choices, found.from.usage
local list = choices and byte(data, choices) == 91
local empty = list and byte(data, solid(data, choices + 1)) == 93
if list and not empty then
self.meter:delta()
end
if not at then
return nil
end
local reported = usage.read(data, at)
if reported then
self.meter:report(reported)
end
if empty and byte(data, at) == 123 then
return false
elseif sub(data, at, found.to.usage - 1) == "null" then
return member_span(data, found)
end
return nil
end
local function lost(self)
self.meter:delta()
end
function chunks.new(meter)
return { meter = meter, found = json.spans(), event = event, lost = lost }
end
return chunks
end)()
local request = (function()
local byte, ceil, find, match, sub = string.byte, math.ceil, string.find, string.match, string.sub
local members, solid = json.members, json.solid
local header_value, unescape = text.header_value, text.unescape
local MAX_MODEL = 256
local WANTED = json.names("model", "messages", "prompt", "input", "stream", "stream_options")
local INCLUDE = json.names("include_usage")
local request = {}
local function model(body, found)
local from = found.from.model
if not from or byte(body, from) ~= 34 then
return "unknown"
end
local raw = sub(body, from + 1, found.to.model - 2)
local name = #raw <= 6 * MAX_MODEL and unescape(raw)
name = name and header_value(name)
return name and #name <= MAX_MODEL and name or "unknown"
end
local function value(body, found, name)
local from = found.from[name]
return from and sub(body, from, found.to[name] - 1)
end
local function splice(body, from, to, insert)
return sub(body, 1, from - 1) .. insert .. sub(body, to)
end
local function with_usage(body, start, found)
if value(body, found, "stream") ~= "true" or not (found.from.messages or found.from.prompt) then
return nil
end
local from, to = found.from.stream_options, found.to.stream_options
if not from then
return splice(body, start + 1, start + 1, '"stream_options":{"include_usage":true},')
elseif byte(body, from) == 110 then
return splice(body, from, to, '{"include_usage":true}')
end
local inner = json.spans()
if not members(body, from, INCLUDE, inner) then
return nil
end
local asked = value(body, inner, "include_usage")
if not asked then
local rest = byte(body, solid(body, from + 1)) == 125 and "" or ","
return splice(body, from + 1, from + 1, '"include_usage":true' .. rest)
elseif asked == "false" or asked == "null" then
return splice(body, inner.from.include_usage, inner.to.include_usage, "true")
end
return nil
end
local function streams(path)
return find(match(path, "^[^?#]*") or "", "/completions$") ~= nil
end
function request.read(body, path)
local found = json.spans()
local start = json.document(body, WANTED, found)
if not start then
return "unknown", ceil(#body / 4), nil
end
local name = found.from.messages and "messages" or found.from.prompt and "prompt" or "input"
local from = found.from[name]
local bytes = from and found.to[name] - from or #body
return model(body, found), ceil(bytes / 4), streams(path) and with_usage(body, start, found) or nil
end
return request
end)()
local limits = (function()
local format, gmatch, match, max = string.format, string.gmatch, string.match, math.max
local tonumber, type = tonumber, type
local NAMES = { "limit", "remaining", "reset" }
local limits = {}
local function integer(number)
return format("%.0f", number)
end
local function last(headers, name)
local count = headers:getNumValues(name)
if type(count) ~= "number" or count < 1 then
return nil
end
local value = headers:getAtIndex(name, count - 1)
return type(value) == "string" and value or nil
end
local function number(value)
local digits = value and match(value, "^%s*(%d+)")
return digits and tonumber(digits) or nil
end
function limits.take(headers)
local policies = last(headers, "x-ratelimit-limit")
local remaining, reset = last(headers, "x-ratelimit-remaining"), last(headers, "x-ratelimit-reset")
for i = 1, #NAMES do
headers:remove("x-ratelimit-" .. NAMES[i])
end
local limit = number(policies)
if not limit then
return nil
end
return { limit = limit, policies = policies, remaining = number(remaining), reset = number(reset) or 1 }
end
local function better(one, other, reset)
if not other then
return true
elseif one.window ~= other.window then
if (one.window < reset) ~= (other.window < reset) then
return one.window >= reset
end
return one.window < other.window
end
return one.kind == "tokens" and other.kind ~= "tokens"
end
function limits.find(list, seen)
local windows, named, found = {}, false, nil
for limit, window in gmatch(seen.policies, "(%d+);w=(%d+)") do
if tonumber(limit) == seen.limit then
windows[tonumber(window)], named = true, true
end
end
for i = 1, #list do
local one = list[i]
if
one.reported == seen.limit
and (windows[one.window] or not named)
and better(one, found, seen.reset)
then
found = one
end
end
return found
end
local function set(headers, name, value)
headers:remove(name)
headers:add(name, value)
end
local function replace(headers, limit, remaining, reset)
for i = 1, #NAMES do
headers:remove("x-ratelimit-" .. NAMES[i] .. "-tokens")
headers:remove("x-ratelimit-" .. NAMES[i] .. "-requests")
end
headers:add("x-ratelimit-limit-" .. limit.kind, integer(limit.quantity))
headers:add("x-ratelimit-remaining-" .. limit.kind, integer(remaining))
headers:add("x-ratelimit-reset-" .. limit.kind, integer(reset))
end
function limits.admit(headers, limit, seen)
replace(headers, limit, max(0, (seen.remaining or 0) + limit.quantity - limit.reported), seen.reset)
end
function limits.refused(headers, status, seen)
return status == 429
and seen ~= nil
and seen.remaining == 0
and not headers:get("content-length")
and not headers:get("content-type")
and not headers:get("date")
end
function limits.refuse(headers, limit, seen, model)
local wait = max(1, seen.reset)
local kind, what = "tokens", ""
if limit then
replace(headers, limit, 0, seen.reset)
kind = limit.kind
what = format(" on %s per %s: limit %s, used up", kind, limit.unit, integer(limit.quantity))
end
set(headers, "retry-after", integer(wait))
set(headers, "retry-after-ms", integer(wait * 1000))
set(headers, "content-type", "application/json")
if wait > 60 then
set(headers, "x-should-retry", "false")
end
local message = format("Rate limit reached for %s%s. Please try again in %ss.", model, what, integer(wait))
return format(
'{"error":{"message":%s,"type":"%s","param":null,"code":"rate_limit_exceeded"}}',
text.quote(message),
kind
)
end
return limits
end)()
local context = (function()
local type = type
local MODEL_HEADER = "x-ai-gateway-llm-model-name"
local context = {}
local function get(handle, key)
local all = handle:filterContext()
return all and all:get(key)
end
local function list(handle, key)
local value = get(handle, key)
return type(value) == "table" and value or {}
end
function context.model_header(handle)
local name = get(handle, "modelHeader")
return type(name) == "string" and name ~= "" and name or MODEL_HEADER
end
function context.limits(handle)
return list(handle, "limits")
end
function context.defaults(handle)
return list(handle, "defaults")
end
return context
end)()
local response = (function()
local lower, match, tonumber = string.lower, string.match, tonumber
local response = {}
local function plain(headers)
local encoding = headers:get("content-encoding")
return not encoding or lower(encoding) == "identity"
end
local function is_events(headers)
local kind = headers:get("content-type")
return kind ~= nil and match(lower(kind), "^[^%s;,]*") == "text/event-stream"
end
local function reader(headers, known)
local self = { meter = meter.new(tonumber(known.prompt_estimate) or 0) }
if not plain(headers) then
return self
elseif is_events(headers) then
self.stream = sse.new(known.forced_usage == true)
self.sink = chunks.new(self.meter)
if self.stream.hold then
headers:remove("content-length")
end
else
self.document = document.new()
end
return self
end
function response.open(handle)
local known = meter.get(handle)
if known.usage_source == nil then
meter.default(handle)
end
local headers = handle:headers()
local status = tonumber(headers:get(":status") or "") or 0
local seen = limits.take(headers)
if limits.refused(headers, status, seen) then
return { refusal = seen }
end
local limit = seen and status ~= 429 and limits.find(context.limits(handle), seen)
if limit then
limits.admit(headers, limit, seen)
end
if status < 200 or status > 299 or known.unmetered then
return {}
end
local self = reader(headers, known)
self.meter:write(handle)
return self
end
function response.refuse(handle, seen, body)
if body:length() > 0 then
return
end
local model = meter.get(handle).model or "unknown"
local limit = limits.find(context.limits(handle), seen)
body:setBytes(limits.refuse(handle:headers(), limit, seen, model))
end
function response.push(self, handle, body)
local out
if self.stream then
out = sse.push(self.stream, body, self.sink)
else
self.meter.bytes = self.meter.bytes + #body
local found = self.document and document.push(self.document, body)
local reported = found and usage.read(found, 1)
if reported then
self.meter:report(reported)
end
end
self.meter:write(handle)
return out ~= body and out or nil
end
function response.close(self, handle)
local out = self.stream and sse.finish(self.stream, self.sink)
self.meter:write(handle)
return out ~= "" and out or nil
end
return response
end)()
do
local pairs, pcall, sub, tonumber, tostring, type = pairs, pcall, string.sub, tonumber, tostring, type
local UNMETERED = { GET = true, HEAD = true, OPTIONS = true, CONNECT = true }
local function fault(handle, message)
pcall(handle.logErr, handle, "llmroute: " .. sub(tostring(message), 1, 200))
pcall(function()
meter.set(handle, "filter_error", (tonumber(meter.get(handle).filter_error) or 0) + 1)
end)
end
local function guard(handle, run, ...)
local ok, result = pcall(run, ...)
if not ok then
fault(handle, result)
return nil
end
return result
end
local function bytes(buffer)
local size = buffer:length()
return size > 0 and buffer:getBytes(0, size) or ""
end
local function set_bytes(buffer, content)
buffer:setBytes(content)
end
local function set_header(headers, name, value)
headers:remove(name)
headers:add(name, value)
end
local function settle(headers, name, default)
local count = headers:getNumValues(name)
local value
for i = 0, count - 1 do
value = value or text.header_value(headers:getAtIndex(name, i) or "")
end
value = value or default
if count ~= 1 or headers:getAtIndex(name, 0) ~= value then
set_header(headers, name, value)
end
end
local function settle_all(handle)
local headers = handle:headers()
for name, default in pairs(context.defaults(handle)) do
if type(default) == "string" then
settle(headers, name, default)
end
end
headers:remove("accept-encoding")
end
local function read(handle, buffer)
local body = buffer and bytes(buffer) or ""
local headers = handle:headers()
local model, estimate, rewritten = request.read(body, headers:get(":path") or "")
set_header(headers, context.model_header(handle), model)
meter.set(handle, "model", model)
meter.set(handle, "prompt_estimate", estimate)
if rewritten then
buffer:setBytes(rewritten)
meter.set(handle, "forced_usage", true)
end
end
function envoy_on_request(handle)
guard(handle, meter.default, handle)
local header = guard(handle, context.model_header, handle) or "x-ai-gateway-llm-model-name"
guard(handle, set_header, handle:headers(), header, "unknown")
guard(handle, settle_all, handle)
if UNMETERED[handle:headers():get(":method") or ""] then
guard(handle, meter.set, handle, "unmetered", true)
return
end
local buffer = handle:body()
guard(handle, read, handle, buffer)
end
local function stream(handle, reader)
local last, sent, broken
local next_chunk = handle:bodyChunks()
local chunk = next_chunk()
while chunk do
last, sent = chunk, ""
if not broken then
local body = guard(handle, bytes, chunk) or ""
local ok, out = pcall(response.push, reader, handle, body)
if not ok then
fault(handle, out)
broken = true
out = reader.stream and reader.stream.hold and sse.held(reader.stream) .. body or nil
end
sent = out or body
if out then
guard(handle, set_bytes, chunk, out)
end
end
chunk = next_chunk()
end
local rest = not broken and guard(handle, response.close, reader, handle)
if rest and last then
pcall(set_bytes, last, sent .. rest)
end
end
function envoy_on_response(handle)
local reader = guard(handle, response.open, handle)
if reader and reader.refusal then
local body = handle:body(true)
guard(handle, response.refuse, handle, reader.refusal, body)
elseif reader and reader.meter then
stream(handle, reader)
end
end
end
