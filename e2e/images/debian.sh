#!/usr/bin/env bash
# Prints the name of a small Debian image made from Debian's packages alone, and makes it first where it is
# missing: the base of the images of build.sh on a machine that reaches no registry. Needs root.
# debian.sh --name only prints.
set -euo pipefail
suite=bookworm # its python3 is 3.11, its redis-server 7.0.15
packages=ca-certificates,python3,redis-server
name="llmroute/debian:$suite-$(printf '%s' "$packages" | sha256sum | cut -c1-12)"

die() {
  printf 'images: %s\n' "$*" >&2
  exit 1
}
if [ "${1:-}" = --name ] || docker image inspect "$name" >/dev/null 2>&1; then
  echo "$name"
  exit
fi
[ "$(id -u)" = 0 ] || die "no registry is reached, and only root can make a Debian image with debootstrap"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! command -v debootstrap >/dev/null; then
  command -v apt-get >/dev/null || die "no registry is reached, and there is no debootstrap"
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y -q --no-install-recommends debootstrap \
    >"$work/apt.log" 2>&1 || { tail -n 5 "$work/apt.log" >&2; die "debootstrap could not be installed"; }
fi
# The mirror that this machine uses for the suite.
# shellcheck disable=SC2016 # apt expands it
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' "Codename: $suite" | sed -n 1p)
[ -n "$mirror" ] || die "no registry is reached, and apt knows no mirror of Debian $suite"
printf 'images: making %s from Debian packages\n' "$name" >&2
debootstrap --variant=minbase --include="$packages" "$suite" "$work/root" "$mirror" \
  >"$work/debootstrap.log" 2>&1 || { tail -n 5 "$work/debootstrap.log" >&2; die "debootstrap failed"; }
root="$work/root" # without what only apt and readers need
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/* "$root"/var/log/*.log
tar -C "$root" -c . | docker import --change 'CMD ["bash"]' - "$name" >/dev/null
echo "$name"
