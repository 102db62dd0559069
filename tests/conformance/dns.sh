#!/bin/sh
# dns.sh - Kubernetes' [sig-network] DNS tests against a standalone portico, and docs/conformance.md from what they say.
#
#   tests/conformance/dns.sh [BUILD-DIR [TABLE]]      (root, Go, kubectl; ports 80, 6443, 10250 and 9153)
#
# Builds the tests first (e2e.sh), starts portico with data of its own, runs every test whose name has FOCUS and not SKIP, and
# ends with 1 if one of them failed. About a minute when all pass; a test of names that fails waits for ten.
# PORTICO_OPTIONS are given to portico as well; PREPARE is run by the shell before the tests, with kubectl led to this portico.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
build=$(realpath "${1:-$here/../../build}")
table=${2:-$here/../../docs/conformance.md}
all='\[sig-network\] DNS'
focus=${FOCUS:-$all}
skip=${SKIP:-configMap nameserver}
portico=$build/portico

[ -x "$portico" ] || { echo "$portico is missing: make" >&2; exit 1; }
e2e=$("$here/e2e.sh")
work=$(mktemp -d /tmp/portico-conformance.XXXXXX)
chmod 755 "$work"
# A test has a pod on the host's own network that wants port 80; another has a Service whose name begins with a digit.
settings="--data-dir=$work/data --run-dir=$work/run --http-address 127.0.0.1:18080 --https-address 127.0.0.1:18443
	--relaxed-service-names=true ${PORTICO_OPTIONS:-}"

stop() {
	# shellcheck disable=SC2086
	"$portico" down $settings > "$work/down.log" 2>&1 || { cat "$work/down.log" >&2; return; }
	rm -rf "$work"
}
trap stop EXIT

# shellcheck disable=SC2086
"$portico" up $settings --no-kubeconfig > "$work/up.log" 2>&1 || { cat "$work/up.log" >&2; exit 1; }
for image in "$e2e"/image-*.tar; do
	# shellcheck disable=SC2086
	"$portico" image load "$image" $settings > /dev/null
done

[ -z "${PREPARE:-}" ] || KUBECONFIG="$work/data/admin.kubeconfig" sh -c "$PREPARE" > /dev/null
status=0
timeout "${SECONDS_MAX:-3600}" "$e2e/e2e.test" -ginkgo.focus="$focus" -ginkgo.skip="$skip" -ginkgo.no-color \
	-ginkgo.json-report="$work/report.json" -provider=local -kubeconfig="$work/data/admin.kubeconfig" \
	> "$work/e2e.log" 2>&1 < /dev/null || status=$?
[ -e "$work/report.json" ] || { tail -50 "$work/e2e.log" >&2; exit 1; }
cp "$work/e2e.log" "$build/conformance.log"
cp "$work/report.json" "$build/conformance.json"
"$here/table.py" "$work/report.json" "$focus" "${e2e##*-}" "$("$portico" version | head -1)" > "$table.new"
mv "$table.new" "$table"
sed -n '/^|/p' "$table"
exit $status
