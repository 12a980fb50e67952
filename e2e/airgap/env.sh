# shellcheck shell=bash disable=SC2034 # the others use what is set here
# Settings that every script of this folder sources. Each may be overridden by the environment.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=../../tools/pins.env
. "$root/tools/pins.env"

: "${SUITE:=bookworm}" # the Debian that nodes and images are made of
: "${JOBS:=$(nproc)}"  # packages compiled at a time
cache="${XDG_CACHE_HOME:-$HOME/.cache}/llmroute/airgap"
logs="$cache/logs"
mkdir -p "$logs"

# What is made from files of this folder is known by a hash of them, so a change makes a new one.
digest() { (cd "$here" && find "$@" -type f -print0 | sort -z | xargs -0 sha256sum) | sha256sum | cut -c1-12; }

base_image="llmroute-airgap/debian:$SUITE-$(digest rootfs.sh)"
rootfs_image="llmroute-airgap/node-rootfs:$SUITE-$(digest rootfs.sh)"
node_image="llmroute-airgap/node:$KUBERNETES_VERSION-kind-$KIND_VERSION-$(digest rootfs.sh node-image.sh node go)"
gateway_image="llmroute/gateway:$ENVOY_GATEWAY_VERSION-$(digest gateway-image.sh rootfs.sh)"
: "${KIND_NODE_IMAGE:=kindest/node:v1.34.0}" # what kind of the pinned version asks for, where a registry is reached

# Each program has a folder of its own, by its version: what is there is not built again.
own_dir="$cache/own-$(digest go)"
kubernetes_dir="$cache/kubernetes-$KUBERNETES_VERSION"
chart_dir="$cache/chart-$ENVOY_GATEWAY_VERSION"

# Ours comes last: Go may be PyPI's, in the virtual environment.
export PATH="$PATH:$root/.venv/bin"

die() {
  printf 'airgap: %s\n' "$*" >&2
  exit 1
}
have_image() { docker image inspect "$1" >/dev/null 2>&1; }
# The versions of etcd and CoreDNS are those that kubeadm asks for.
node_version() {
  "$kubernetes_dir/kubeadm" config images list --kubernetes-version "$KUBERNETES_VERSION" 2>/dev/null |
    sed -n "s#.*/$1:v\{0,1\}\([0-9.]*\).*#v\1#p"
}
go_module() { go mod download -json "$1@$2" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p'; }

# timed NAME COMMAND...: runs the command and says how long it took. A function runs under set -e all the same,
# unless `timed` itself stands after `if` or `!` or before `||`: bash would ignore set -e inside.
timed() {
  local name=$1 began=$SECONDS code
  shift
  set +e
  (
    set -e
    "$@"
  )
  code=$?
  set -e
  printf '%-24s %5d s%s\n' "$name" "$((SECONDS - began))" "$([ "$code" = 0 ] || echo "  FAILED, see $logs")"
  return "$code"
}
