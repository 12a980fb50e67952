-- The filter is one script of several modules; the bundler makes each a local of that script, so to each
-- file the others look like globals. Only the two entry points are real ones.
std = "lua51"
max_line_length = 110
files["filters/lua/src"] = {
  read_globals = {
    "backends", "context", "costs", "counters", "decode", "document", "echo", "edits", "errors", "events",
    "eventstream", "faults", "header", "hold", "identity", "json", "limits", "maxtokens", "meter", "multipart", "oversize",
    "path", "prepaid", "request", "response", "rls", "settle", "sse", "text", "usage",
  },
}
files["filters/lua/src/filter.lua"] = { globals = { "envoy_on_request", "envoy_on_response" } }
