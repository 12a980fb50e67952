-- oversize: an SSE event that is too long to keep. Its data is told of piece by piece, in passing.

local byte, sub = string.byte, string.sub

-- As many bytes of a line tell whether it is data and where its value begins.
local ENOUGH = 6

local oversize = {}

-- `sink:pass(piece)` gets the data.
function oversize.new(sink)
  return {
    sink = sink,
    head = "", -- of the line being read, until it is enough
    data = false, -- that line is data
  }
end

-- Where the value of a line of the field `data` begins; nil when it is of another.
function oversize.value(line, start)
  if sub(line, start, start + 3) ~= "data" then
    return nil
  end
  local c = byte(line, start + 4)
  if c == 58 then
    return byte(line, start + 5) == 32 and start + 6 or start + 5
  end
  return not c and start + 4 or nil
end

-- Takes a piece of a line.
function oversize.push(self, piece)
  if self.head then
    piece = self.head .. piece
    self.head = #piece < ENOUGH and piece or nil
    local value = not self.head and oversize.value(piece, 1)
    self.data = value ~= nil and value ~= false
    -- Several lines join with LF, which JSON skips.
    piece = value and "\n" .. sub(piece, value)
  end
  if self.data then
    self.sink:pass(piece)
  end
end

-- Takes the last piece of a line. Says whether the line is empty, which ends the event.
function oversize.line(self, piece)
  oversize.push(self, piece)
  local head = self.head
  local value = head and oversize.value(head, 1)
  if value then
    self.sink:pass("\n" .. sub(head, value))
  end
  self.head, self.data = "", false
  return head == ""
end

return oversize
