#!/usr/bin/env bash
# Makes $node_image, which has everything that kind expects of a node's image: its entrypoint, systemd, containerd,
# kubeadm, kubelet and kubectl, CNI plugins, /kind/version, /kind/manifests, and, in containerd's store, every image
# that kubeadm needs. The entrypoint, the units and the sysctls are kind's own, from its module.
set -euo pipefail
. "$(dirname "$0")/env.sh"
if have_image "$node_image"; then exit; fi
files=$(go_module sigs.k8s.io/kind "$KIND_VERSION")/images/base/files
work=$(mktemp -d "$cache/node-image.XXXXXX")
container="llmroute-airgap-$$"
trap 'docker rm -f "$container" >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
needed=$("$kubernetes_dir/kubeadm" config images list --kubernetes-version "$KUBERNETES_VERSION" 2>/dev/null)

build_image() { docker build -q -t "$1" "$2" >/dev/null 2>>"$logs/docker-build.log"; }

# 1. An image for each part of the control plane, under the name that kubeadm asks for.
make_images() {
  local image name stage kubernetes=""
  for image in $needed; do
    name=${image##*/} name=${name%%:*} stage="$work/image-$name"
    mkdir "$stage"
    case $name in
    kube-*) # one image under four names; kube-proxy calls iptables, so it stands on Debian
      if [ -n "$kubernetes" ]; then
        docker tag "$kubernetes" "$image"
        continue
      fi
      kubernetes=$image
      cp "$kubernetes_dir/kubeall" "$stage/"
      printf 'FROM %s\nCOPY kubeall /usr/local/bin/kubeall\n' "$base_image"
      echo 'RUN cd /usr/local/bin && for p in apiserver controller-manager scheduler proxy; do ln -s kubeall kube-$p; done'
      ;;
    pause)
      cp "$own_dir/pause" "$stage/"
      printf 'FROM scratch\nCOPY pause /pause\nUSER 65535:65535\nENTRYPOINT ["/pause"]\n'
      ;;
    coredns)
      cp "$cache/coredns-$(node_version coredns)/coredns" "$stage/"
      printf 'FROM scratch\nCOPY coredns /coredns\nWORKDIR /\nENTRYPOINT ["/coredns"]\n'
      ;;
    etcd)
      cp "$cache/etcd-$(node_version etcd)/etcd" "$stage/"
      printf 'FROM scratch\nCOPY etcd /usr/local/bin/etcd\nENV PATH=/usr/local/bin\n'
      ;;
    *) die "kubeadm asks for an image that is not known here: $image" ;;
    esac >"$stage/Dockerfile"
    build_image "$image" "$stage"
  done
  # shellcheck disable=SC2086 # one word each
  docker save $needed -o "$work/images.tar"
}

# 2. What lies on top of the Debian root file system.
make_tree() {
  local tree="$work/node/root" name
  mkdir -p "$tree"
  cp -r "$files/." "$tree/"
  chmod -R u+w "$tree"
  chmod 755 "$tree"/usr/local/bin/* "$tree"/kind "$tree"/kind/bin "$tree"/kind/bin/*
  mkdir -p "$tree"/usr/bin "$tree"/kind/manifests "$tree"/etc/cni/net.d "$tree"/etc/kubernetes/manifests "$tree"/opt/cni
  install -m 755 "$kubernetes_dir/kubeall" "$tree/usr/bin/kubeall"
  for name in kubeadm kubelet kubectl; do ln -s kubeall "$tree/usr/bin/$name"; done
  install -m 755 "$own_dir/crictl" "$tree/usr/local/bin/crictl"
  printf '%s' "$KUBERNETES_VERSION" >"$tree/kind/version"
  sed -i "s#^\( *sandbox_image = \).*#\1\"$(grep /pause: <<<"$needed")\"#" "$tree/etc/containerd/config.toml"
  # Without CAP_SYS_RESOURCE no process may get an OOM score below its parent's.
  sed -i 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' "$tree/etc/containerd/config.toml"
  mkdir -p "$tree/etc/systemd/system/containerd.service.d"
  printf '[Service]\nOOMScoreAdjust=0\n' >"$tree/etc/systemd/system/containerd.service.d/10-airgap.conf"
  cp "$here/node/10-ptp.conflist" "$tree/etc/cni/net.d/"
  cp "$here/node/default-cni.yaml" "$here/node/default-storage.yaml" "$tree/kind/manifests/"
  { echo "FROM $rootfs_image"; cat "$here/node/Dockerfile"; } >"$work/node/Dockerfile"
  build_image llmroute-airgap/node-base "$work/node"
}

# 3. The images go into containerd's store, by containerd itself; then the container becomes the image.
make_node() {
  docker run -d --name "$container" --privileged --security-opt seccomp=unconfined \
    --entrypoint sleep llmroute-airgap/node-base infinity >/dev/null
  docker exec -d "$container" sh -c 'containerd > /tmp/containerd.log 2>&1'
  docker exec "$container" sh -c 'for i in $(seq 120); do ctr version >/dev/null 2>&1 && exit; sleep 0.5; done; exit 1'
  docker exec -i "$container" ctr --namespace=k8s.io images import --all-platforms --no-unpack --digests - \
    <"$work/images.tar" >"$logs/import.log" 2>&1
  docker exec "$container" sh -c 'pid=$(pidof containerd); kill $pid; while [ -e /proc/$pid ]; do sleep 0.1; done; rm -f /tmp/containerd.log'
  docker commit --change 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]' --change 'CMD []' \
    "$container" "$node_image" >/dev/null
}

timed "control plane images" make_images
timed "node tree" make_tree
timed "node image" make_node
