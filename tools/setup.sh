#!/bin/sh
# setup.sh [--tests] - installs the Debian packages that building and running portico needs; what is there is left alone.
set -eu
build="gcc make pkg-config libc6-dev libjansson-dev libnghttp2-dev libssl-dev libsqlite3-dev libyaml-dev libprotobuf-c-dev
	protobuf-c-compiler libbpf-dev libwslay-dev libpcre2-dev zlib1g-dev libbrotli-dev libzstd-dev libcap-dev libseccomp-dev libcrypt-dev clang llvm bpftool"
run="containerd runc iproute2 nftables ca-certificates curl busybox-static"
tests="libcmocka-dev libclang-rt-14-dev openssl procps dnsutils bind9-host knot-dnsutils unbound musl-tools sqlite3 python3 jq nginx haproxy wrk nghttp2-client"

[ "$(id -u)" -eq 0 ] || { echo "setup.sh: installing packages needs root: use sudo" >&2; exit 1; }
want="$build $run"
[ "${1:-}" != --tests ] || want="$want $tests"
command -v kubectl >/dev/null || want="$want kubernetes-client"

missing=
for p in $want; do
	dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
if [ -z "$missing" ]; then
	echo "All packages are installed."
	exit 0
fi
echo "Installing:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q >/dev/null || echo "setup.sh: apt-get update failed; trying with the lists that are here" >&2
# Services are not wanted: portico starts containerd for itself, tests start nginx and haproxy.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' > "$policy"
	chmod 755 "$policy"
	trap 'rm -f "$policy"' EXIT
fi
# shellcheck disable=SC2086
apt-get install -y -q --no-install-recommends $missing >/dev/null
echo "Packages are installed."
