#!/bin/sh
# CoreDNS, built from its Go module with the plug-ins of a cluster: what the DNS role is measured against, besides Knot and NSD
# from Debian (apt-get install knot nsd). Prints the folder that holds it. PORTICO_BENCH_CACHE says where, COREDNS_VERSION which.
set -eu

cache=${PORTICO_BENCH_CACHE:-$HOME/.cache/portico-bench}
version=${COREDNS_VERSION:-v1.15.0}
dir=$cache/coredns-$version

build() {
	mkdir -p "$dir/src"
	cd "$dir/src"
	printf 'module bench\n\ngo 1.24.0\n\nrequire github.com/coredns/coredns %s\n' "$version" > go.mod
	cat > main.go <<-'END'
	package main

	import (
		_ "github.com/coredns/coredns/plugin/bind"
		_ "github.com/coredns/coredns/plugin/cache"
		_ "github.com/coredns/coredns/plugin/errors"
		_ "github.com/coredns/coredns/plugin/forward"
		_ "github.com/coredns/coredns/plugin/hosts"
		_ "github.com/coredns/coredns/plugin/kubernetes"
		_ "github.com/coredns/coredns/plugin/loadbalance"
		_ "github.com/coredns/coredns/plugin/metrics"
		_ "github.com/coredns/coredns/plugin/ready"
		_ "github.com/coredns/coredns/plugin/rewrite"
		_ "github.com/coredns/coredns/plugin/template"

		"github.com/coredns/coredns/coremain"
	)

	func main() { coremain.Run() }
	END
	go mod tidy -e >&2
	echo "building CoreDNS $version" >&2
	CGO_ENABLED=0 nice go build -p "${JOBS:-1}" -trimpath -ldflags "-s -w" -o "$dir/coredns.new" .
	mv "$dir/coredns.new" "$dir/coredns"
}

if [ ! -x "$dir/coredns" ]; then
	command -v go > /dev/null || { echo "building CoreDNS needs Go" >&2; exit 1; }
	(build)
fi
printf '%s\n' "$dir"
