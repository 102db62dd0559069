#!/bin/sh
# e2e.sh - Kubernetes' own end-to-end tests as one program, and the image their pods run.
#
# Builds e2e.test and agnhost from the Go module k8s.io/kubernetes (Go; ten minutes the first time), and packs agnhost with
# CoreDNS (one test's name server) and this machine's dig, getent, curl and shell as an image. Prints the folder that holds
# e2e.test and image-NAME.tar. PORTICO_BENCH_CACHE says where, KUBE_VERSION and COREDNS_VERSION which.
set -eu

cache=${PORTICO_BENCH_CACHE:-$HOME/.cache/portico-bench}
version=${KUBE_VERSION:-v1.34.2}
dir=$cache/kubernetes-$version
coredns=${COREDNS_VERSION:-v1.15.0}
tools=$(cd "$(dirname "$0")/../../tools" && pwd)
# What the tests' commands in pods call.
needed="sh cat dig env getent grep hostname ls seq sleep test"
wanted="bash cut curl date echo id ip nc nslookup ping sed sort tee timeout tr uname wc wget"

say() { printf '%s\n' "$*" >&2; }

build() {
	mkdir -p "$dir/e2e-src"
	cd "$dir/e2e-src"
	"$tools/kube_module.sh" "$version" > go.mod
	cat > tools.go <<-'END'
	package bench

	import (
		_ "k8s.io/kubernetes/test/e2e"
		_ "k8s.io/kubernetes/test/images/agnhost"
	)
	END
	go mod tidy -e >&2
	say "building agnhost and e2e.test $version"
	CGO_ENABLED=0 nice go build -p "${JOBS:-1}" -ldflags "-s -w" -o "$dir/agnhost.new" \
		k8s.io/kubernetes/test/images/agnhost
	nice go test -p "${JOBS:-1}" -vet=off -ldflags "-s -w" -c -o "$dir/e2e.test.new" \
		k8s.io/kubernetes/test/e2e
	mv "$dir/agnhost.new" "$dir/agnhost"
	mv "$dir/e2e.test.new" "$dir/e2e.test"
}

build_coredns() {
	mkdir -p "$dir/coredns-src"
	cd "$dir/coredns-src"
	printf 'module bench\n\ngo 1.24.0\n\nrequire github.com/coredns/coredns %s\n' "$coredns" > go.mod
	cat > main.go <<-'END'
	package main

	import (
		_ "github.com/coredns/coredns/plugin/hosts"
		_ "github.com/coredns/coredns/plugin/log"

		"github.com/coredns/coredns/coremain"
	)

	func main() { coremain.Run() }
	END
	go mod tidy -e >&2
	say "building CoreDNS $coredns"
	CGO_ENABLED=0 nice go build -p "${JOBS:-1}" -trimpath -ldflags "-s -w" -o "$dir/coredns.new" .
	mv "$dir/coredns.new" "$dir/coredns"
}

copy() { # FILE to its own place below $root
	mkdir -p "$root$(dirname "$1")"
	[ -e "$root$1" ] || cp -L "$1" "$root$1"
}

add_program() {
	copy "$1"
	ldd "$1" 2> /dev/null | sed -n 's|^[^/]*\(/[^ ]*\) (.*|\1|p' | while read -r library; do copy "$library"; done
}

make_root() {
	mkdir -p "$root/usr/bin" "$root/usr/lib" "$root/usr/lib64" "$root/etc" "$root/tmp"
	ln -s usr/bin "$root/bin"
	ln -s usr/lib "$root/lib"
	ln -s usr/lib64 "$root/lib64"
	printf 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' > "$root/etc/passwd"
	printf 'hosts: files dns\n' > "$root/etc/nsswitch.conf"
	chmod 1777 "$root/tmp"
	for name in $needed $wanted; do
		[ ! -x "/usr/bin/$name" ] || add_program "/usr/bin/$name"
	done
	cp "$dir/agnhost" "$dir/coredns" "$root/"
	# agnhost's servers of TLS read these where they are started.
	openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 3650 \
		-keyout "$root/localhost.key" -out "$root/localhost.crt" 2> /dev/null
}

pack() { # agnhost and jessie-dnsutils: the tests start the first by its entrypoint, the second by commands
	root=$(mktemp -d)
	make_root
	for name in agnhost jessie-dnsutils; do
		image=$("$dir/e2e.test" --list-images 2> /dev/null | grep "/e2e-test-images/$name:")
		ENTRYPOINT=/agnhost "$tools/oci_pack.sh" "$root" "$image" "$dir/image-$name.new" pause
		mv "$dir/image-$name.new" "$dir/image-$name.tar"
	done
	rm -rf "$root"
}

for name in $needed; do
	[ -x "/usr/bin/$name" ] || { say "$name is missing (dig: apt-get install bind9-dnsutils)"; exit 1; }
done
mkdir -p "$dir"
if [ ! -x "$dir/e2e.test" ] || [ ! -x "$dir/agnhost" ]; then
	command -v go > /dev/null || { say "building the tests needs Go"; exit 1; }
	(build)
fi
if [ ! -x "$dir/coredns" ]; then
	command -v go > /dev/null || { say "building CoreDNS needs Go"; exit 1; }
	(build_coredns)
fi
[ -e "$dir/image-agnhost.tar" ] && [ -e "$dir/image-jessie-dnsutils.tar" ] || pack
printf '%s\n' "$dir"
