#!/usr/bin/env bash
# Makes Envoy Gateway's image and unpacks its Helm chart, both from its Go module. (The images of Envoy, ratelimit and
# Redis are those of ../images.)
set -euo pipefail
. "$(dirname "$0")/env.sh"
chart_files=$(go_module github.com/envoyproxy/gateway "$ENVOY_GATEWAY_VERSION")/charts/gateway-helm
work=$(mktemp -d "$cache/gateway.XXXXXX")
trap 'rm -rf "$work"' EXIT

image() {
  ! have_image "$gateway_image" || return 0
  cp -L "$root/.tools/envoy-gateway" "$work/"
  docker build -q -t "$gateway_image" -f - "$work" >/dev/null 2>>"$logs/docker-build.log" <<END
FROM $base_image
COPY envoy-gateway /usr/local/bin/envoy-gateway
RUN mkdir -p /var/lib/eg && chown 65532:65532 /var/lib/eg
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/envoy-gateway"]
END
}

# The module has the chart with a template of its values; a release fills in these two. Whole when values.yaml is there.
chart() {
  [ ! -f "$chart_dir/values.yaml" ] || return 0
  rm -rf "$chart_dir"
  cp -r "$chart_files" "$chart_dir"
  chmod -R u+w "$chart_dir"
  sed -e "s#\${GatewayImage}#envoyproxy/gateway:$ENVOY_GATEWAY_VERSION#" \
    -e "s#\${GatewayImagePullPolicy}#IfNotPresent#" "$chart_files/values.tmpl.yaml" >"$work/values.yaml"
  mv "$work/values.yaml" "$chart_dir/values.yaml"
}
timed "gateway image" image
timed "gateway chart" chart
