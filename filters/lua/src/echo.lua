-- echo: most events of a stream are the one before but for the text of one string. Such an event means what
-- that one meant and need not be read: two comparisons instead of a scan.

local find, sub = string.find, string.sub
local string_end = json.string_end

-- Streams in which each event differs in more are not studied for ever, and long events are not kept.
local MAX_TRIES = 8
local MAX_EVENT = 1024

local echo = {}

function echo.new()
  return {
    last = nil, -- the event read last
    head = nil, -- what comes before the text, its opening quote included
    tail = nil, -- what comes after it, its closing quote included
    tries = 0, -- events studied in vain, in a row
  }
end

-- Is `data` the event that was learnt, but for the text? Gives its length, else nil. A text with an escape
-- is none, so what the scan would say of the string is known: it ends at the first quote.
function echo.same(self, data)
  local head = self.head
  if not head or sub(data, 1, #head) ~= head then
    return nil
  end
  local quote = find(data, '"', #head + 1, true)
  if not quote or sub(data, quote) ~= self.tail then
    return nil
  end
  local escape = find(data, "\\", #head + 1, true)
  if escape and escape < quote then
    return nil
  end
  self.tries = 0
  return quote - #head - 1
end

-- The first byte in which two texts differ, or nil.
local function difference(one, other)
  if one == other then
    return nil
  end
  local same, differs = 0, #one < #other and #one + 1 or #other + 1
  while differs - same > 1 do
    local middle = same + (differs - same - (differs - same) % 2) / 2
    if sub(one, 1, middle) == sub(other, 1, middle) then
      same = middle
    else
      differs = middle
    end
  end
  return differs
end

-- Learns from `data`, which was read to be JSON, when it differs from the event before inside of a string
-- between `from` and `to`, where strings mean nothing. Gives the length of its text, else nil.
function echo.learn(self, data, from, to)
  local last = self.last
  self.last, self.head = nil, nil
  if self.tries == MAX_TRIES or #data > MAX_EVENT then
    return nil
  end
  self.last, self.tries = data, self.tries + 1
  local at = last and difference(last, data)
  if not at or at <= from or at >= to then
    return nil
  end
  local open = find(data, '"', from, true)
  while open and open < at do
    local stop = string_end(data, open + 1)
    if at < stop then
      self.head, self.tail, self.last = sub(data, 1, open), sub(data, stop - 1), nil
      return stop - open - 2
    end
    open = find(data, '"', stop, true)
  end
  return nil
end

return echo
