#!/usr/bin/env bash
# Makes sure that a Docker engine runs, and says in one line what it did:
#
#   engine.sh         uses the engine that runs; else starts dockerd; else installs Debian's docker.io first
#   engine.sh stop    stops the engine that this script started, and no other
#
# Installing and starting need root on Debian or Ubuntu. An engine that runs is never restarted.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/llmroute/docker"
log="$cache/dockerd.log"
pid_file="$cache/dockerd.pid"
did=()

die() {
  printf 'docker engine: %s\n' "$*" >&2
  exit 1
}
runs() { docker info >/dev/null 2>&1; }

# Whether the kernel knows a capability that this machine's processes cannot have.
missing_capabilities() {
  local last bounding
  last=$(cat /proc/sys/kernel/cap_last_cap)
  bounding=$(sed -n 's/^CapBnd:\t*/0x/p' /proc/self/status)
  (((bounding & ((1 << (last + 1)) - 1)) != (1 << (last + 1)) - 1))
}

stop() {
  local pid
  pid=$(cat "$pid_file" 2>/dev/null || true)
  if [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]; then
    kill "$pid"
    for _ in $(seq 100); do
      [ -e "/proc/$pid" ] || break
      sleep 0.1
    done
    [ ! -e "/proc/$pid" ] || die "process $pid does not stop; see $log"
    echo "docker engine: stopped"
  else
    echo "docker engine: none that this script started"
  fi
  rm -f "$pid_file"
}

install_engine() {
  command -v dockerd >/dev/null && return
  command -v apt-get >/dev/null || die "none runs and none is installed; only Debian's docker.io can be installed from here"
  export DEBIAN_FRONTEND=noninteractive
  # Others may be installing at the same moment, so wait for apt's lock; stale lists may still do, so go on without.
  apt-get -o DPkg::Lock::Timeout=600 update -q >"$cache/apt.log" 2>&1 || true
  apt-get -o DPkg::Lock::Timeout=600 install -y -q --no-install-recommends docker.io iptables >>"$cache/apt.log" 2>&1 ||
    { tail -n 5 "$cache/apt.log" >&2; die "docker.io could not be installed"; }
  did+=("installed docker.io")
}

# Where a capability is missing, `docker run --privileged` fails, because runc asks for all of them; Kind's
# nodes need it. runc-fit asks for those that there are.
fit_runtime() {
  missing_capabilities || return 0
  local source="$here/../airgap/go/runc-fit/main.go" go program
  go=$(command -v go || true)
  [ -n "$go" ] || go=$(ls "$here/../../.venv/bin/go" 2>/dev/null || true)
  if [ -z "$go" ]; then
    did+=("privileged containers will fail: a capability is missing, and there is no Go to build runc-fit")
    return
  fi
  program="/usr/local/libexec/runc-fit-$(sha256sum "$source" | cut -c1-12)" # no cache: the engine needs it to start
  if [ ! -x "$program" ]; then
    mkdir -p "${program%/*}"
    CGO_ENABLED=0 GO111MODULE=off "$go" build -trimpath -ldflags '-s -w' -o "$program.new" "$source"
    mv "$program.new" "$program"
  fi
  python3 - "$program" /etc/docker/daemon.json <<'PY'
import json
import pathlib
import sys

path = pathlib.Path(sys.argv[2])
settings = json.loads(path.read_text()) if path.exists() else {}
settings.setdefault("runtimes", {})["runc-fit"] = {"path": sys.argv[1]}
settings["default-runtime"] = "runc-fit"
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text(json.dumps(settings, indent=2) + "\n")
PY
  did+=("runc-fit is the default runtime, as a capability is missing")
}

start() {
  install_engine
  fit_runtime
  if runs; then # the package's own start-up script was faster; it reads the runtime on a reload
    kill -HUP "$(cat /var/run/docker.pid)"
  else
    setsid nohup dockerd >"$log" 2>&1 </dev/null 9>&- & # an engine that kept the lock would keep callers waiting
    echo $! >"$pid_file"
    did+=("started dockerd")
  fi
  for _ in $(seq 120); do
    runs && return
    sleep 0.5
  done
  tail -n 5 "$log" >&2
  die "dockerd did not start; its log is $log"
}

command -v flock >/dev/null || die "flock (util-linux) is needed"
mkdir -p "$cache"
exec 9>"$cache/engine.lock" # two callers at once must not start two engines
flock 9
case "${1:-start}" in
start)
  if runs; then
    did+=("uses the one that runs")
  else
    [ "$(id -u)" = 0 ] || die "none runs, and only root can start one"
    start
  fi
  joined=$(printf '; %s' "${did[@]}")
  docker info --format "docker engine {{.ServerVersion}} ({{.Driver}}, {{.DefaultRuntime}}): ${joined:2}"
  ;;
stop) stop ;;
*) die "usage: engine.sh [start|stop]" ;;
esac
