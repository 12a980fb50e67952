"""Writers: YAML, Lua literals, the Lua bundle."""
