-- naive_filter: the least that a Lua filter can do about tokens: whole bodies, one match each.
-- luacheck: globals envoy_on_request envoy_on_response
function envoy_on_request(handle)
  local body = handle:body()
  local text = body and body:getBytes(0, body:length()) or ""
  local model = string.match(text, '"model"%s*:%s*"([^"]*)"') or "unknown"
  handle:headers():replace("x-ai-gateway-llm-model-name", model)
  handle:streamInfo():dynamicMetadata():set("llmroute", "model", model)
end

function envoy_on_response(handle)
  local body = handle:body()
  local text = body and body:getBytes(0, body:length()) or ""
  local data = handle:streamInfo():dynamicMetadata()
  data:set("llmroute", "prompt_tokens", tonumber(string.match(text, '"prompt_tokens"%s*:%s*(%d+)')) or 0)
  data:set(
    "llmroute",
    "completion_tokens",
    tonumber(string.match(text, '"completion_tokens"%s*:%s*(%d+)')) or 0
  )
  data:set("llmroute", "total_tokens", tonumber(string.match(text, '"total_tokens"%s*:%s*(%d+)')) or 0)
end
