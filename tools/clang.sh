#!/usr/bin/env bash
# Finds or installs a clang with libFuzzer (Debian's clang and libclang-rt), and prints it. For tools/wasm_fuzz.py.
set -euo pipefail

for name in clang clang-{22..14}; do
  command -v "$name" && exit 0
done
command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] ||
  { echo "clang is missing: install Debian's clang and libclang-rt" >&2; exit 1; }
get() { DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 "$@" >/dev/null; }
get update -q
get install -y -q --no-install-recommends clang
get install -y -q --no-install-recommends "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"
command -v clang
