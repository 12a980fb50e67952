-- eventstream: Bedrock's binary streams (application/vnd.amazon.eventstream), in pieces cut at any byte. A
-- message is its length, the length of its headers and a checksum (4 bytes each, big endian), headers,
-- payload, checksum. Payloads say by their shape what they are, so headers and checksums are passed over.

local byte, sub = string.byte, string.sub

-- Payloads of Bedrock have a few hundred bytes; a longer one is not kept and counts as a delta.
local MAX_PAYLOAD = 8192
local PRELUDE, CHECKSUM = 12, 4
-- No message is longer: 16 MiB of payload and 128 KiB of headers.
local MAX_MESSAGE = 16777216 + 131072 + PRELUDE + CHECKSUM

local eventstream = {}

function eventstream.new()
  return {
    head = "", -- of the prelude
    skip = 0, -- bytes to pass over before the payload
    left = nil, -- bytes of the payload still to come
    payload = "", -- false when it is too long
    over = false, -- lengths made no sense: the rest is unreadable
  }
end

local function length(head, at)
  local a, b, c, d = byte(head, at, at + 3)
  return ((a * 256 + b) * 256 + c) * 256 + d
end

local function prelude(state)
  local total, headers = length(state.head, 1), length(state.head, 5)
  state.head = ""
  state.left = total - headers - PRELUDE - CHECKSUM
  state.skip = headers
  state.payload = state.left <= MAX_PAYLOAD and ""
  state.over = state.left < 0 or total > MAX_MESSAGE
end

local function finish(state, sink)
  if state.payload then
    sink:event(state.payload)
  else
    sink.meter:delta()
  end
  state.left, state.skip = nil, CHECKSUM
end

-- Takes the next piece; tells `sink` of every whole payload. False once it cannot be read.
function eventstream.push(state, body, sink)
  local at, size = 1, #body
  while at <= size and not state.over do
    if state.skip > 0 then
      local step = state.skip < size - at + 1 and state.skip or size - at + 1
      state.skip, at = state.skip - step, at + step
    elseif not state.left then
      local missing = PRELUDE - #state.head
      state.head = state.head .. sub(body, at, at + missing - 1)
      at = at + missing
      if #state.head == PRELUDE then
        prelude(state)
      end
    else
      local step = state.left < size - at + 1 and state.left or size - at + 1
      state.payload = state.payload and state.payload .. sub(body, at, at + step - 1)
      state.left, at = state.left - step, at + step
    end
    if state.left == 0 and state.skip == 0 and not state.over then
      finish(state, sink)
    end
  end
  return not state.over
end

return eventstream
