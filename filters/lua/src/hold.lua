-- hold: what a request may take, which its limits set aside until the answer says what it took
-- (`admission.mode: Reserve`). The proxy's check counts what is `paid`; when the stream is done it gives back
-- the `refund`, which is all of it unless an answer comes, and charges what is `due` beyond it.

local ceil, max = math.ceil, math.max
local clamp = usage.clamp

local hold = {}

-- Holds so many tokens of a prompt and of its answer, by the weights of each limit: at least 1, for what
-- holds nothing would be admitted when all is used.
function hold.set(handle, limits, prompt, answer)
  for i = 1, #limits do
    local limit = limits[i]
    local sum = prompt * limit.prompt + clamp(answer) * limit.completion
    local hits = max(1, clamp(ceil(sum / limit.scale)))
    meter.set(handle, limit.paid, hits)
    meter.set(handle, limit.refund, hits)
    meter.set(handle, limit.due, 0)
  end
end

return hold
