#!/bin/bash
# From a change in the API to the first request that is served by it, with HOSTS Ingresses; requests that fail while
# changes go on; the time and memory to load all hosts. Portico's own API server and ingress role, started by hand in a
# network namespace of their own; backends are processes of that namespace that EndpointSlices name. Root; needs Debian's gcc,
# openssl, wrk.
#
#	bench/ingress/change.sh [case…]		cases: load latency storm
#	KINDS="create host slice cert hello" (see change.c) ROUNDS=3 HOSTS=10000 SAMPLES=300 SECONDS_STORM=60 PER_SECOND=100 BUILD=build
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../tests/func/stack.sh"
stack_isolate "$@"
BUILD=$(realpath -m "${BUILD:-$here/../../build}")
HOSTS=${HOSTS:-10000} SAMPLES=${SAMPLES:-300} SECONDS_STORM=${SECONDS_STORM:-60} PER_SECOND=${PER_SECOND:-100}
CASES=${*:-load latency storm}
for tool in gcc openssl wrk; do command -v $tool > /dev/null || { echo "needs $tool" >&2; exit 1; }; done
[ -x "$BUILD/portico" ] || { echo "no $BUILD/portico: make, or BUILD=DIR $0" >&2; exit 1; }
ulimit -n "$(ulimit -Hn)"
export TMPDIR=/tmp
export BENCH_SERVER=127.0.0.1:6443 BENCH_PROXY=127.0.0.1:8080 BENCH_PROXY_TLS=127.0.0.1:8443 BENCH_BACKEND=$node_ip BENCH_A=17001 BENCH_B=17002

BACKENDS=()
bench_end() { kill "${BACKENDS[@]}" 2> /dev/null; stack_down; }
stack_up "$BUILD" apiserver ingress > /dev/null || exit 1
trap bench_end EXIT
trap 'exit 1' INT TERM
export BENCH_CERT=$work/data/pki/admin.crt BENCH_KEY=$work/data/pki/admin.key BENCH_PEM_A=$work/pem-a BENCH_PEM_B=$work/pem-b
gcc -std=gnu17 -D_GNU_SOURCE -O2 -o "$work/backend" "$here/backend.c" &&
	gcc -std=gnu17 -D_GNU_SOURCE -O2 -pthread -I"$here/.." -o "$work/change" "$here/change.c" "$here/hello.c" "$here/../client/http.c" -lssl -lcrypto || exit 1
"$work/backend" $BENCH_A 100 $node_ip & BACKENDS+=($!)
"$work/backend" $BENCH_B 200 $node_ip & BACKENDS+=($!)
for s in a:1 b:2; do
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=cert.example -set_serial ${s#*:} \
		-addext subjectAltName=DNS:cert.example -keyout "$work/k" -out "$work/c" 2> /dev/null
	echo "$(base64 -w0 "$work/c") $(base64 -w0 "$work/k")" > "$work/pem-${s%:*}"
done

put() { # PATH OBJECT
	local code
	code=$(curl -sk --cert "$BENCH_CERT" --key "$BENCH_KEY" -o "$work/answer" -w '%{http_code}' -H 'Content-Type: application/json' -d "$2" "https://$BENCH_SERVER$1")
	[ "$code" = 201 ] || { echo "$1: $code $(cat "$work/answer")" >&2; exit 1; }
}
path() { echo "{\"path\":\"/\",\"pathType\":\"Prefix\",\"backend\":{\"service\":{\"name\":\"$1\",\"port\":{\"number\":80}}}}"; }
objects() {
	local s
	for s in small slice; do
		put /api/v1/namespaces/default/services '{"apiVersion":"v1","kind":"Service","metadata":{"name":"'$s'","namespace":"default"},"spec":{"ports":[{"name":"http","port":80}]}}'
		put /apis/discovery.k8s.io/v1/namespaces/default/endpointslices '{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"'$s'-1","namespace":"default","labels":{"kubernetes.io/service-name":"'$s'"}},"addressType":"IPv4","ports":[{"name":"http","port":'$BENCH_A'}],"endpoints":[{"addresses":["'$node_ip'"]}]}'
	done
	read -r crt key < "$work/pem-a"
	put /api/v1/namespaces/default/secrets '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"cert","namespace":"default"},"type":"kubernetes.io/tls","data":{"tls.crt":"'"$crt"'","tls.key":"'"$key"'"}}'
	put /apis/networking.k8s.io/v1/namespaces/default/ingresses '{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"slice","namespace":"default"},"spec":{"ingressClassName":"nginx","rules":[{"host":"slice.example","http":{"paths":['"$(path slice)"']}}]}}'
	put /apis/networking.k8s.io/v1/namespaces/default/ingresses '{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"cert","namespace":"default"},"spec":{"ingressClassName":"nginx","tls":[{"hosts":["cert.example"],"secretName":"cert"}],"rules":[{"host":"cert.example","http":{"paths":['"$(path small)"']}}]}}'
	put /apis/networking.k8s.io/v1/namespaces/default/ingresses '{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"moved","namespace":"default"},"spec":{"ingressClassName":"nginx","rules":[{"host":"moved.bench.example","http":{"paths":['"$(path small)"']}}]}}'
}
cpu_ms() { awk -v hz="$(getconf CLK_TCK)" '{ sub(/^.*\) /, ""); print int(($12 + $13) * 1000 / hz) }' "/proc/$1/stat"; }
pss_mib() { awk '/^Pss:/ { printf "%.1f", $2 / 1024 }' "/proc/$1/smaps_rollup"; }

load() { # a role that starts when the hosts are there already
	local i began served cpu
	for i in $(seq "${ROUNDS:-3}"); do
		kill "${role_pids[ingress]}" && wait "${role_pids[ingress]}"
		began=$(date +%s%N)
		role_start ingress
		served=$("$work/change" ask "h$((HOSTS - 1)).bench.example" 60000) || exit 1
		cpu=$(cpu_ms "${role_pids[ingress]}")
		set -- $("$work/change" list)
		sleep 1
		echo "load: $HOSTS hosts in $(((served - began) / 1000000)) ms from the start of the process ($cpu ms of it its CPU time); the list alone, by another client, $1 ms and $(($2 / 1024)) KiB; PSS $(pss_mib "${role_pids[ingress]}") MiB"
	done
}

percentiles() { sort -n | awk '{ v[NR] = $1 } END { printf "%.2f / %.2f / %.2f", v[int((NR + 1) / 2)] / 1000, v[int(NR * 0.99 + 0.5)] / 1000, v[NR] / 1000 }'; }
latency() {
	local kind
	echo "| a change with $HOSTS Ingresses, ms: p50 / p99 / max of $SAMPLES | from its answer | from its sending |"
	echo "|---|--:|--:|"
	for kind in ${KINDS:-create host slice cert hello}; do
		[ $kind != hello ] || "$work/change" cert 1 > /dev/null # it begins with the other one
		"$work/change" $kind "$SAMPLES" > "$work/samples" || exit 1
		echo "| $kind | $(cut -d' ' -f2 "$work/samples" | percentiles) | $(cut -d' ' -f1 "$work/samples" | percentiles) |"
	done
}

storm() {
	cat > "$work/random.lua" <<-END
	math.randomseed(1)
	request = function() return wrk.format("GET", "/", {Host = "h" .. math.random(0, $((HOSTS - 1))) .. ".bench.example"}) end
	END
	"$work/change" storm "$HOSTS" "$SECONDS_STORM" "$PER_SECOND" > "$work/changes" &
	local changer=$!
	wrk -t1 -c32 -d"$((SECONDS_STORM + 1))s" -s "$work/random.lua" "http://$BENCH_PROXY" > "$work/wrk" || exit 1
	wait $changer || exit 1
	local failed
	failed=$(awk '/Non-2xx/ { s += $NF } /Socket errors/ { gsub(",", ""); s += $4 + $6 + $8 + $10 } END { print s + 0 }' "$work/wrk")
	echo "storm: $(awk '/requests in/ { print $1 }' "$work/wrk") requests, $failed failed, during $(cat "$work/changes") changes in $SECONDS_STORM s"
}

objects
"$work/change" make 0 "$HOSTS" || exit 1
"$work/change" ask "h$((HOSTS - 1)).bench.example" 60000 > /dev/null || exit 1
for c in $CASES; do "$c"; done
stack_alive
