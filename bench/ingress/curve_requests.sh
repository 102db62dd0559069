#!/bin/bash
# What a whole request costs the proxy with 1 to 100,000 hosts, or as many paths on one host: CPU microseconds of the process,
# kernel included, for each of many random ones. All sizes run at once and are asked in turns, so that a noisy moment hits all;
# of the rounds, the least and the median. Root (a network namespace of its own); needs Debian's gcc, python3.
#
#	bench/ingress/curve_requests.sh [hosts paths]	SIZES="1 10 100 1000 10000 100000" ROUNDS=15 REQUESTS=8000 BUILD=build
[ -n "${CURVE_INSIDE:-}" ] || CURVE_INSIDE=1 exec unshare --net -- bash "$0" "$@"
here=$(cd "$(dirname "$0")" && pwd)
BUILD=$(realpath -m "${BUILD:-$here/../../build}")
SIZES=${SIZES:-1 10 100 1000 10000 100000} ROUNDS=${ROUNDS:-15} N=${REQUESTS:-8000}
KINDS=${*:-hosts paths}
BACKEND=17001 FIRST=17100
[ -x "$BUILD/portico" ] || { echo "no $BUILD/portico: make, or BUILD=DIR $0" >&2; exit 1; }
ulimit -n "$(ulimit -Hn)"
T=$(mktemp -d "${TMPDIR:-/tmp}/icurve.XXXXXX")
chmod 755 "$T"
PIDS=()
bench_end() { kill "${PIDS[@]}" 2> /dev/null; wait 2> /dev/null; rm -rf "$T"; }
trap bench_end EXIT
trap 'exit 1' INT TERM
ip link set lo up
gcc -O2 -D_GNU_SOURCE -o "$T/backend" "$here/backend.c" && gcc -O2 -D_GNU_SOURCE -o "$T/ask" "$here/ask.c" -lssl -lcrypto || exit 1
"$T/backend" $BACKEND 100 & PIDS+=($!)

conf() { # KIND SIZE DIR
	mkdir -p "$3"
	python3 - "$1" "$2" $BACKEND > "$3/all.json" <<-'END'
	import json, sys
	kind, n, port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
	def path(p): return {"path": p, "pathType": "Prefix", "backend": {"service": {"name": "small", "port": {"number": 80}}}}
	def ingress(i, rules): return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i%d" % i}, "spec": {"rules": rules}}
	def rule(host, paths): return {"host": host, "http": {"paths": paths}}
	items = [
	    {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "nginx", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}}, "spec": {"controller": "k8s.io/ingress-nginx"}},
	    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ingress-nginx-controller", "namespace": "ingress-nginx"}, "data": {"disable-access-log": "true", "keep-alive-requests": "10000000", "upstream-keepalive-requests": "10000000"}},
	    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "small"}, "spec": {"ports": [{"name": "http", "port": 80}]}},
	    {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "small-1", "labels": {"kubernetes.io/service-name": "small"}}, "addressType": "IPv4", "ports": [{"name": "http", "port": port}], "endpoints": [{"addresses": ["127.0.0.1"]}]},
	]
	if kind == "hosts":
	    items += [ingress(i, [rule("h%06d.bench.example" % i, [path("/")])]) for i in range(n)]
	else: # a hundred paths to an Ingress: one with all would be larger than the API takes
	    items += [ingress(i, [rule("a.example", [path("/p%06d" % k) for k in range(i, min(i + 100, n))])]) for i in range(0, n, 100)]
	json.dump({"apiVersion": "v1", "kind": "List", "items": items}, sys.stdout)
	END
}
cpu_ns() { cat /proc/"$1"/task/*/schedstat | awk '{ s += $1 } END { printf "%.0f", s }'; }
ask() { taskset -c 1 "$T/ask" 127.0.0.1:"$1" "$2" 64 plain 0 "$3" "$4"; } # PORT REQUESTS KIND SIZE

curve() { # KIND
	local kind=$1 n port i round before after
	declare -A pid port_of
	port=$FIRST
	for n in $SIZES; do
		conf "$kind" "$n" "$T/$kind.$n"
		port=$((port + 2)) port_of[$n]=$port
		"$BUILD/portico" ingress --from "$T/$kind.$n" --http 127.0.0.1:$port --https 127.0.0.1:$((port + 1)) --workers 1 \
			--ingress-admin-address "" --log-level warn > "$T/log.$n" 2>&1 &
		pid[$n]=$!
		PIDS+=($!)
		taskset -acp 0 $! > /dev/null
	done
	for n in $SIZES; do
		for ((i = 0; i < 600; i++)); do
			ask ${port_of[$n]} "$n" "$kind" "$n" 2> /dev/null && break # every one of them answers
			kill -0 ${pid[$n]} 2> /dev/null || break
			sleep 0.1
		done
		ask ${port_of[$n]} "$N" "$kind" "$n" || { tail -5 "$T/log.$n" >&2; exit 1; }
		: > "$T/v.$n"
	done
	for ((round = 0; round < ROUNDS; round++)); do
		for n in $SIZES; do
			ask ${port_of[$n]} $((N / 4)) "$kind" "$n" || exit 1
			before=$(cpu_ns ${pid[$n]})
			ask ${port_of[$n]} "$N" "$kind" "$n" || exit 1
			after=$(cpu_ns ${pid[$n]})
			echo "$before $after" | awk -v n="$N" '{ printf "%.2f\n", ($2 - $1) / n / 1000 }' >> "$T/v.$n"
		done
	done
	for what in least median; do
		printf '| %s, %s |' "$kind" $what
		for n in $SIZES; do printf ' %s |' "$(sort -g "$T/v.$n" | sed -n "$([ $what = least ] && echo 1 || echo $(((ROUNDS + 1) / 2)))p")"; done
		echo
	done
	for n in $SIZES; do kill ${pid[$n]}; wait ${pid[$n]} 2> /dev/null; done
}

printf '| CPU us for each request |'; printf ' %s |' $SIZES; printf '\n|---|'; printf -- '--:|%.0s' $SIZES; echo
for k in $KINDS; do curve "$k"; done
