#!/usr/bin/env bash
# Makes two images from Debian packages: $base_image, a small base for kube-proxy and Envoy, and $rootfs_image,
# what a node needs of Debian.
set -euo pipefail
. "$(dirname "$0")/env.sh"
base_packages=ca-certificates,iptables,conntrack,kmod,curl
node_packages=(systemd systemd-sysv dbus nftables iproute2 ethtool util-linux mount libseccomp2 socat procps
  jq pigz containerd runc containernetworking-plugins)

if have_image "$base_image" && have_image "$rootfs_image"; then exit; fi
[ "$(id -u)" = 0 ] || die "making a Debian root file system needs root"
command -v apt-get >/dev/null || die "Debian's apt-get is needed"
if ! command -v debootstrap >/dev/null; then
  apt-get -o DPkg::Lock::Timeout=600 update -q >"$logs/apt.log" 2>&1 || true # an older list may still do
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y -q --no-install-recommends debootstrap \
    >>"$logs/apt.log" 2>&1 || die "debootstrap cannot be installed; see $logs/apt.log"
fi
mirror=$(apt-get indextargets --format '$(SITE)' "Created-By: Packages" "Codename: $SUITE" | sed -n 1p)
[ -n "$mirror" ] || die "apt has no source for Debian $SUITE"
work=$(mktemp -d "$cache/rootfs.XXXXXX")
trap 'umount "$work/node/proc" 2>/dev/null || true; rm -rf "$work"' EXIT

make_base() {
  local base="$work/base" sources
  debootstrap --variant=minbase --include="$base_packages" "$SUITE" "$base" "$mirror" >"$logs/debootstrap.log" 2>&1
  # Inside as outside: this machine's sources of the suite, security updates included; and nothing starts on install.
  rm -f "$base/etc/apt/sources.list"
  for sources in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
    if grep -qs "$SUITE" "$sources"; then install -Dm 644 "$sources" "$base$sources"; fi
  done
  printf '#!/bin/sh\nexit 101\n' >"$base/usr/sbin/policy-rc.d"
  chmod 755 "$base/usr/sbin/policy-rc.d"
}

make_node() {
  local node="$work/node"
  cp -a "$work/base" "$node"
  cp /etc/resolv.conf "$node/etc/resolv.conf"
  mount -t proc proc "$node/proc"
  export DEBIAN_FRONTEND=noninteractive
  chroot "$node" apt-get update -q
  chroot "$node" apt-get install -y -q --no-install-recommends "${node_packages[@]}"
  umount "$node/proc"
} >"$logs/node-apt.log" 2>&1

import() { # import TREE IMAGE, without what only apt and readers need
  rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/usr/share/{doc,man,locale}/* "$1"/var/log/*.log
  tar -C "$1" -c . | docker import - "$2" >/dev/null
}

timed "debian base" make_base
timed "debian node" make_node
import "$work/node" "$rootfs_image"
import "$work/base" "$base_image"
