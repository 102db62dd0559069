#!/bin/bash
# h2spec, the conformance test of HTTP/2 (RFC 9113, RFC 7541), against the ingress proxy: 145 cases over TLS. Builds h2spec from
# its Go module once, into ~/.cache/portico-bench; needs Go, gcc and openssl. Everything is on loopback.
#
#	BUILD=build bench/ingress/h2spec.sh [h2spec's arguments…]
#
# Not part of `make check`: continuous integration has no Go. Its rules are held there by tests/unit/test_ingress_h2*.c.
# On the plain port one case differs by design: what is no preface there is an HTTP/1.1 request, and gets a 400.
here=$(cd "$(dirname "$0")" && pwd)
BUILD=$(realpath -m "${BUILD:-$here/../../build}")
CACHE=${PORTICO_BENCH_CACHE:-$HOME/.cache/portico-bench}
BACKEND=17101 HTTP=17110 HTTPS=17111
[ -x "$BUILD/portico" ] || { echo "no $BUILD/portico: make, or BUILD=DIR $0" >&2; exit 1; }
T=$(mktemp -d "${TMPDIR:-/tmp}/h2spec.XXXXXX")
chmod 755 "$T" # the proxy reads it as a user of its own
PIDS=()
end() { kill "${PIDS[@]}" 2> /dev/null; wait 2> /dev/null; rm -rf "$T"; }
trap end EXIT

if [ ! -x "$CACHE/h2spec" ]; then
	mkdir -p "$CACHE" "$T/go"
	# x/net of that time: newer ones report a closed connection in words that h2spec does not know.
	cat > "$T/go/go.mod" <<-END
	module spec
	go 1.21
	require (
		github.com/summerwind/h2spec v2.2.1+incompatible
		github.com/fatih/color v1.16.0
		github.com/spf13/cobra v1.8.0
		golang.org/x/net v0.17.0
	)
	END
	printf '//go:build tools\npackage spec\nimport _ "github.com/summerwind/h2spec/cmd/h2spec"\n' > "$T/go/tools.go"
	(cd "$T/go" && go mod tidy && go build -o "$CACHE/h2spec" github.com/summerwind/h2spec/cmd/h2spec) > "$T/go.log" 2>&1 ||
		{ cat "$T/go.log" >&2; exit 1; }
fi

gcc -O2 -D_GNU_SOURCE -o "$T/backend" "$here/backend.c" || exit 1
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=a.example -keyout "$T/key.pem" -out "$T/cert.pem" 2> /dev/null
mkdir "$T/conf"
cat > "$T/conf/all.yaml" <<END
{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: nginx, annotations: {ingressclass.kubernetes.io/is-default-class: "true"}}, spec: {controller: k8s.io/ingress-nginx}}
---
{apiVersion: v1, kind: Service, metadata: {name: small}, spec: {ports: [{name: http, port: 80}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: small-1, labels: {kubernetes.io/service-name: small}}, addressType: IPv4, ports: [{name: http, port: $BACKEND}], endpoints: [{addresses: [127.0.0.1]}]}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: main}, spec: {defaultBackend: {service: {name: small, port: {number: 80}}}}}
END
"$T/backend" $BACKEND 100 & PIDS+=($!)
"$BUILD/portico" ingress --from "$T/conf" --http 127.0.0.1:$HTTP --https 127.0.0.1:$HTTPS --workers 1 --ingress-admin-address "" \
	--log-level warn > "$T/access.log" & PIDS+=($!)
for _ in $(seq 50); do
	[ "$(curl -sk -o /dev/null -w '%{http_code}' "https://127.0.0.1:$HTTPS/")" = 200 ] && break
	sleep 0.1
done
"$CACHE/h2spec" generic http2 hpack -h 127.0.0.1 -p $HTTPS -t -k "$@"
