#!/bin/sh
# The peers portico is measured against: etcd from Debian, and kube-apiserver and
# kube-controller-manager built from their Go modules. Needs Go; several minutes the first time.
# Prints the folder that holds them. PORTICO_BENCH_CACHE says where, KUBE_VERSION which.
set -eu

cache=${PORTICO_BENCH_CACHE:-$HOME/.cache/portico-bench}
version=${KUBE_VERSION:-v1.34.2}
dir=$cache/kubernetes-$version
tools=$(cd "$(dirname "$0")/../tools" && pwd)

say() { printf '%s\n' "$*" >&2; }

build() {
	work=$dir/src
	mkdir -p "$work"
	cd "$work"
	"$tools/kube_module.sh" "$version" > go.mod
	cat > tools.go <<-'END'
	package bench

	import (
		_ "k8s.io/kubernetes/cmd/kube-apiserver/app"
		_ "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	)
	END
	go mod tidy -e >&2
	for name in kube-apiserver kube-controller-manager; do
		say "building $name $version"
		CGO_ENABLED=0 nice go build -p "${JOBS:-1}" -trimpath -tags selinux,notest \
			-ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version" \
			-o "$dir/$name.new" "k8s.io/kubernetes/cmd/$name"
		mv "$dir/$name.new" "$dir/$name"
	done
}

command -v etcd > /dev/null || {
	say "etcd is missing: apt-get install etcd-server"
	exit 1
}
mkdir -p "$dir"
if [ ! -x "$dir/kube-apiserver" ] || [ ! -x "$dir/kube-controller-manager" ]; then
	command -v go > /dev/null || { say "building the peers needs Go"; exit 1; }
	(build)
fi
printf '%s\n' "$dir"
