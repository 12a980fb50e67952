-- naive: what the filter is measured against: metering as people write it. A tokenizer of character classes
-- that walks every token to find one top-level member, and a stream that is joined and split by events.

local naive = {}

-- The value of the last member `name` of the object in `body`: its first and last byte.
function naive.member(body, name)
  local at, depth = 1, 0
  local key, first, last, opened
  while true do
    at = body:find("[^%s,:]", at)
    if not at then
      return first, last
    end
    local c = body:sub(at, at)
    local stop = at
    if c == '"' then
      stop = at + 1
      while true do
        stop = body:find('[\\"]', stop)
        if not stop then
          return nil
        elseif body:sub(stop, stop) == '"' then
          break
        end
        stop = stop + 2
      end
      if depth == 1 and body:find("^%s*:", stop + 1) then
        key = body:sub(at + 1, stop - 1)
      elseif depth == 1 and key == name then
        first, last = at, stop
      end
    elseif c == "{" or c == "[" then
      depth = depth + 1
      opened = depth == 2 and at or opened
    elseif c == "}" or c == "]" then
      depth = depth - 1
      if depth == 1 and key == name then
        first, last = opened, at
      end
    else
      stop = select(2, body:find("^[^%s,:%]}]+", at)) or at
    end
    at = stop + 1
  end
end

function naive.model(body)
  local from, to = naive.member(body, "model")
  return from and body:sub(from + 1, to - 1) or "unknown"
end

local function total(state, text)
  local from, to = naive.member(text, "usage")
  if from then
    local number = text:sub(from, to):match('"total_tokens"%s*:%s*(%d+)')
    state.total = tonumber(number) or state.total
  end
end

-- One piece of an event stream.
function naive.push(state, piece)
  state.buffer = (state.buffer or "") .. piece
  while true do
    local stop, after = state.buffer:find("\r?\n\r?\n")
    if not stop then
      return
    end
    local event = state.buffer:sub(1, stop - 1)
    state.buffer = state.buffer:sub(after + 1)
    for data in event:gmatch("data:%s*([^\r\n]+)") do
      if data ~= "[DONE]" then
        state.deltas = (state.deltas or 0) + 1
        total(state, data)
      end
    end
  end
end

-- One piece of a JSON answer, and its end.
function naive.keep(state, piece)
  state.buffer = (state.buffer or "") .. piece
end

function naive.close(state)
  total(state, state.buffer)
end

return naive
