#!/bin/sh
# The peers portico is measured against: etcd from Debian, and kube-apiserver and
# kube-controller-manager built from their Go modules. Needs Go; several minutes the first time.
# Prints the folder that holds them. PORTICO_BENCH_CACHE says where, KUBE_VERSION which.
set -eu

cache=${PORTICO_BENCH_CACHE:-$HOME/.cache/portico-bench}
version=${KUBE_VERSION:-v1.34.2}
dir=$cache/kubernetes-$version

say() { printf '%s\n' "$*" >&2; }

# The project's staging repositories are released as modules of their own, v1.x.y as v0.x.y;
# its go.mod names them by v0.0.0 and folders that no module zip holds.
staging_replaces() {
	zip_mod=$(go mod download -json "k8s.io/kubernetes@$version" |
		sed -n 's/^.*"GoMod": "\(.*\)".*$/\1/p')
	sed -n 's|^[[:space:]]*\(k8s.io/[^ ]*\) => \./staging/.*|\1|p' "$zip_mod" |
	while read -r module; do
		printf 'replace %s => %s v0.%s\n' "$module" "$module" "${version#v1.}"
	done
}

build() {
	work=$dir/src
	mkdir -p "$work"
	cd "$work"
	printf 'module bench\n\ngo 1.24.0\n\nrequire k8s.io/kubernetes %s\n\n' "$version" > go.mod
	staging_replaces >> go.mod
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
