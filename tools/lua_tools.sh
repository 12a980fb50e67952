#!/usr/bin/env bash
# Finds or installs luacheck (Debian's lua-check) and stylua (npm), for `make lint` and `make format`.
# The tests and the demo need neither.
#   lua_tools.sh CACHE_DIRECTORY
set -euo pipefail
. "$(dirname "$0")/pins.env"
place=$1/stylua

if ! command -v luacheck >/dev/null; then
  command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] ||
    { echo "luacheck is missing: install Debian's lua-check" >&2; exit 1; }
  apt-get -o DPkg::Lock::Timeout=600 update -q >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y -q --no-install-recommends lua-check >/dev/null
fi
if [ "$(cat "$place/version" 2>/dev/null)" != "$STYLUA_VERSION" ]; then
  command -v npm >/dev/null || { echo "stylua is missing: install npm" >&2; exit 1; }
  mkdir -p "$place"
  npm install --silent --no-fund --no-audit --prefix "$place" "@johnnymorganz/stylua-bin@$STYLUA_VERSION" >/dev/null
  echo "$STYLUA_VERSION" > "$place/version"
fi
