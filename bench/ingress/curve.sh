#!/bin/bash
# What finding a request's location costs with 1 to 100,000 hosts, and with as many paths on one host: instructions, by
# callgrind, and nanoseconds, on the routing state alone. Needs Debian's gcc, valgrind.
#
#	bench/ingress/curve.sh		SIZES="1 10 100 1000 10000 100000" BUILD=build
here=$(cd "$(dirname "$0")" && pwd)
BUILD=$(realpath -m "${BUILD:-$here/../../build}")
SIZES=${SIZES:-1 10 100 1000 10000 100000}
LOOKUPS=20000 # as in routes.c
[ -f "$BUILD/libportico.a" ] || { echo "no $BUILD/libportico.a: make, or BUILD=DIR $0" >&2; exit 1; }
T=$(mktemp -d "${TMPDIR:-/tmp}/icurve.XXXXXX")
trap 'rm -rf "$T"' EXIT
# shellcheck disable=SC2046
gcc -std=gnu17 -D_GNU_SOURCE -O2 -g -fno-strict-aliasing -pthread -I"$here/../../src" -I"$BUILD/gen" -o "$T/routes" "$here/routes.c" "$BUILD/libportico.a" \
	$(pkg-config --libs jansson libnghttp2 openssl sqlite3 yaml-0.1 libprotobuf-c libbpf libpcre2-8 zlib libbrotlienc libzstd libcap libseccomp) \
	-lwslay -lcrypt -lm || exit 1
head() { printf '| %s |' "$1"; printf ' %s |' $SIZES; printf '\n|---|'; printf -- '--:|%.0s' $SIZES; echo; }
head "instructions for each look-up"
for kind in hosts exact prefix implementation; do
	printf '| %s |' $kind
	for n in $SIZES; do
		valgrind -q --vgdb=no --tool=callgrind --toggle-collect=look_up --callgrind-out-file="$T/out" "$T/routes" $kind "$n" > "$T/log" 2>&1 || { cat "$T/log" >&2; exit 1; }
		printf ' %d |' $(($(sed -n 's/^\(totals\|summary\): *//p' "$T/out" | tail -1) / LOOKUPS))
	done
	echo
done
echo
head "nanoseconds for each look-up, best of 5"
"$T/routes" time
