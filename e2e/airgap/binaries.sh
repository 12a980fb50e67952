#!/usr/bin/env bash
# Builds the programs of a node from Go modules, each into a folder of its version; those that are there are skipped.
set -euo pipefail
. "$(dirname "$0")/env.sh"
export CGO_ENABLED=0 GOWORK=off GOFLAGS="-buildvcs=false -trimpath" # static, and the same bytes everywhere
kubernetes_src="$cache/src/kubernetes-$KUBERNETES_VERSION"

# compile FILE PACKAGE [LDFLAGS]: a program appears under its name when it is whole. Niced: it takes minutes.
compile() {
  mkdir -p "$(dirname "$1")"
  nice -n 10 go build -mod=mod -p "$JOBS" -ldflags "-s -w ${3:-}" -o "$1.new" "$2"
  mv "$1.new" "$1"
}

# k8s.io/kubernetes requires its staging modules at v0.0.0 and replaces them by folders beside it, so `go install`
# refuses it. This module of ours replaces them by their published versions.
kubernetes_module() {
  [ ! -f "$kubernetes_src/.ready" ] || return 0
  local mod staging
  mkdir -p "$kubernetes_src"
  mod=$(go mod download -json "k8s.io/kubernetes@$KUBERNETES_VERSION" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
  {
    echo "module airgap/kubernetes"
    sed -n 's/^go [0-9].*/&/p' "$mod" | head -1
    echo "require k8s.io/kubernetes $KUBERNETES_VERSION"
    sed -n 's#^\t\(k8s\.io/[a-z-]*\) => \./staging/.*#\1#p' "$mod" | sort -u |
      while read -r staging; do echo "replace $staging => $staging v0.${KUBERNETES_VERSION#v1.}"; done
  } >"$kubernetes_src/go.mod"
  touch "$kubernetes_src/.ready"
}

# The programs of a node share most of their code: one binary under seven names builds and links once (go/kubeall).
build_kubernetes() {
  local flags="" package name
  kubernetes_module
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=$KUBERNETES_VERSION -X $package.gitMajor=1"
    flags+=" -X $package.gitMinor=$(cut -d. -f2 <<<"$KUBERNETES_VERSION") -X $package.gitTreeState=clean"
    # kubectl and kubeadm parse both; a fixed commit and date keep the bytes the same
    flags+=" -X $package.gitCommit=0000000000000000000000000000000000000000 -X $package.buildDate=1970-01-01T00:00:00Z"
  done
  mkdir -p "$kubernetes_src/kubeall"
  cp "$here/go/kubeall/main.go" "$kubernetes_src/kubeall/"
  (cd "$kubernetes_src" && compile "$kubernetes_dir/kubeall" ./kubeall "$flags")
  for name in kubeadm kubelet kubectl kube-apiserver kube-controller-manager kube-scheduler kube-proxy; do
    ln -sf kubeall "$kubernetes_dir/$name"
  done
}

# etcd and CoreDNS have replacements in their own go.mod that `go install` refuses; an empty module requires them.
build_wrapped() { # build_wrapped NAME MODULE PACKAGE
  local version src
  version=$(node_version "$1")
  src="$cache/src/$1-$version"
  if [ ! -f "$src/.ready" ]; then
    rm -rf "$src"
    mkdir -p "$src"
    (cd "$src" && go mod init "airgap/$1" && go get "$2@$version")
    touch "$src/.ready"
  fi
  (cd "$src" && compile "$cache/$1-$version/$1" "$3")
}

build_own() {
  mkdir -p "$own_dir"
  (cd "$here/go/pause" && GO111MODULE=off go build -ldflags '-s -w' -o "$own_dir/pause" .)
  kubernetes_module # crictl needs k8s.io/cri-api
  mkdir -p "$kubernetes_src/crictl"
  cp "$here/go/crictl/main.go" "$kubernetes_src/crictl/"
  (cd "$kubernetes_src" && compile "$own_dir/crictl" ./crictl)
}

build() {
  case $1 in
  kubernetes) build_kubernetes ;;
  etcd) build_wrapped etcd go.etcd.io/etcd/server/v3 go.etcd.io/etcd/server/v3 ;;
  coredns) build_wrapped coredns github.com/coredns/coredns github.com/coredns/coredns ;;
  own) build_own ;;
  esac
}

# The last file that a build makes: with it, the build is whole.
product() {
  case $1 in
  kubernetes) echo "$kubernetes_dir/kube-proxy" ;;
  etcd | coredns) echo "$cache/$1-$(node_version "$1")/$1" ;;
  own) echo "$own_dir/crictl" ;;
  esac
}

trap 'tail -n 20 "$logs/build-${name:-}.log" >&2' ERR
for name in kubernetes etcd coredns own; do
  [ -x "$(product "$name")" ] || timed "build $name" build "$name" 2>"$logs/build-$name.log"
done
