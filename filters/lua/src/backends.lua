-- backends: which backend a request goes to, when the route has some that serve certain models.

local format = string.format

local backends = {}

-- Does the backend have it among its models?
local function serves(backend, model)
  local models = backend.models or {}
  for i = 1, #models do
    if models[i] == model then
      return true
    end
  end
  return false
end

local function first(list, model)
  for i = 1, #list do
    if serves(list[i], model) then
      return list[i].name
    end
  end
  return nil
end

local function known(list, name)
  for i = 1, #list do
    if list[i].name == name then
      return true
    end
  end
  return false
end

-- Sees to it that the request names its backend in the header `name`: the client's choice, else the model's.
-- Without a model (it is nil) it is who takes the rest, else the first. Gives nil, or why there is none.
function backends.choose(headers, name, list, model)
  local named = header.settle(headers, name)
  if named then
    return not known(list, named) and format("The backend `%s` does not exist.", named) or nil
  end
  local chosen = model and first(list, model) or first(list, "*")
  if not chosen and not model and list[1] then
    chosen = list[1].name
  end
  if chosen then
    header.set(headers, name, chosen)
    return nil
  elseif not model or model == "unknown" then
    return "No model could be read from the request, and no backend takes such requests."
  end
  return format("The model `%s` does not exist or you do not have access to it.", model)
end

return backends
