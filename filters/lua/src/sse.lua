-- sse: the line protocol of event streams, in pieces cut at any byte. Lines end in LF, CRLF or CR; an event
-- ends at an empty line. It tells a sink of every event's data:
--
--   sink:event(data) -> nil keep it | false take it out | from, to take these bytes of the data out
--   sink:pass(piece)    the next piece of the data of an event over the cap, which is not kept
--   sink:lost()         that event has ended
--
-- Reading only (`hold` false) it keeps a partial line and the data of an unfinished event, and the bytes go
-- their way untouched. Rewriting (`hold` true) it also keeps the raw lines of the unfinished event.

local byte, concat, find, sub = string.byte, table.concat, string.find, string.sub

-- The lines of one event together, a line that never ends included. Past it nothing more of the event is
-- kept: its bytes go on as they came, and its data is told of in passing.
local MAX_EVENT = 24576
-- What a line costs to keep beside its bytes, so that empty ones are bounded too.
local LINE = 32
-- Pieces of one line are joined when there are so many: each costs more than its bytes.
local MAX_PIECES = 64

local sse = {}

function sse.new(hold)
  return {
    hold = hold,
    first = true, -- a BOM may lead the first line
    cr = nil, -- "kept" or "cut": what became of the line whose CR ended the last piece; a LF may follow
    parts = {}, -- of the line being read
    count = 0,
    size = 0, -- bytes of the event so far, without line ends
    over = nil, -- the event is over the cap: what passes on its data
    data = nil, -- the value of the first data line of the event
    more = nil, -- the values of further ones
    raw = {}, -- held lines of the event, each followed by its end
    line = 0, -- index in raw of the one data line, 0 when there are several
    value = 0, -- where its value begins
    before = {}, -- raw, its length, parts and count as they were before the last push
    lines = 0,
    begun = {},
    pieces = 0,
  }
end

local function forget(state)
  state.size, state.over, state.data, state.more, state.line = 0, nil, nil, nil, 0
  if #state.raw > 0 then
    -- A new table, not an emptied one: `sse.held` may still need the old one after a fault.
    state.raw = {}
  end
end

-- Sends bytes on: `out` is there when the stream is rewritten.
local function emit(out, bytes, ending)
  if out then
    out[#out + 1] = bytes
    out[#out + 1] = ending
  end
end

local function emit_all(out, list, first, last)
  if out then
    for i = first, last do
      out[#out + 1] = list[i]
    end
  end
end

-- Keeps no more of the event: what was held goes on.
local function give_up(state, sink, out)
  emit_all(out, state.raw, 1, #state.raw)
  emit_all(out, state.parts, 1, state.count)
  if state.data then
    sink:pass(state.more and state.data .. "\n" .. concat(state.more, "\n") or state.data)
  end
  local line = concat(state.parts, "", 1, state.count)
  state.over = oversize.new(sink)
  oversize.push(state.over, state.first and sub(line, 1, 3) == "\239\187\191" and sub(line, 4) or line)
  state.raw, state.parts, state.count, state.data, state.more, state.first = {}, {}, 0, nil, nil, false
end

-- Ends the event; says whether its bytes went on.
local function dispatch(state, sink, out)
  if state.over then
    sink:lost()
  elseif state.data then
    local data = state.more and state.data .. "\n" .. concat(state.more, "\n") or state.data
    local from, to = sink:event(data)
    if state.hold and from == false then
      forget(state)
      return false
    elseif state.hold and from and state.line > 0 then
      local line, shift = state.raw[state.line], state.value - 1
      emit_all(out, state.raw, 1, state.line - 1)
      emit(out, sub(line, 1, shift + from - 1), sub(line, shift + to + 1))
      emit_all(out, state.raw, state.line + 1, #state.raw)
      forget(state)
      return true
    end
  end
  emit_all(out, state.raw, 1, #state.raw)
  forget(state)
  return true
end

-- One whole line that is not empty.
local function field(state, out, line, ending, start)
  local idle = state.size == 0
  if idle and byte(line, start) == 58 then
    -- A comment between events belongs to none of them.
    emit(out, line, ending)
    return
  end
  state.size = state.size + #line + LINE
  local value = oversize.value(line, start)
  if value and state.data then
    state.more, state.line = state.more or {}, 0
    state.more[#state.more + 1] = sub(line, value)
  elseif value then
    state.data, state.line, state.value = sub(line, value), #state.raw + 1, value
  end
  if state.hold then
    emit(state.raw, line, ending)
  end
end

-- One line: `tail` is what of it came last. Says whether its bytes went on, or will with its event.
local function take(state, sink, out, tail, ending)
  local start = 1
  if state.over then
    emit(out, tail, ending)
    return not oversize.line(state.over, tail) or dispatch(state, sink, out)
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
    give_up(state, sink, out)
    emit(out, line, ending)
    oversize.line(state.over, sub(line, start))
    return true
  elseif #line >= start then
    field(state, out, line, ending, start)
    return true
  end
  if state.hold then
    emit(state.raw, line, ending)
  end
  return dispatch(state, sink, out)
end

-- The beginning of a line whose end has not come.
local function begin(state, sink, out, piece)
  if state.over then
    emit(out, piece)
    oversize.push(state.over, piece)
    return
  end
  state.count = state.count + 1
  state.parts[state.count] = piece
  state.size = state.size + #piece
  if state.count == MAX_PIECES then
    -- A new table: `sse.held` may still need the old one.
    state.parts, state.count = { concat(state.parts, "", 1, MAX_PIECES) }, 1
  end
  if state.size > MAX_EVENT then
    give_up(state, sink, out)
  end
end

-- A LF that completes the CRLF which the last piece cut.
local function late_lf(state, out)
  if state.cr == "kept" and #state.raw > 0 then
    state.raw[#state.raw + 1] = "\n"
  elseif state.cr == "kept" then
    emit(out, "\n")
  end
end

-- Takes the next piece; gives the bytes to send on when it rewrites.
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
  -- Both are looked for once per line end, so the whole piece is passed over once for each.
  local cr, lf = find(body, "\r", at, true), find(body, "\n", at, true)
  while at <= size do
    local stop = cr and lf and (cr < lf and cr or lf) or cr or lf
    if not stop then
      begin(state, sink, out, sub(body, at))
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

-- The end of the stream: what is whole in an event that nothing ended still counts.
function sse.finish(state, sink)
  local out = state.hold and {} or nil
  if state.count > 0 then
    take(state, sink, out, "", "")
  end
  dispatch(state, sink, out)
  return out and concat(out)
end

-- What was held before the last push, for when it failed: nothing of the stream may get lost.
function sse.held(state)
  return concat(state.before, "", 1, state.lines) .. concat(state.begun, "", 1, state.pieces)
end

return sse
