#!/bin/bash
# User-space instructions of the ingress worker for each request, counted by callgrind, and the functions that they are
# spent in. Counts, unlike times, are the same on a busy machine. The kernel's share is not in them: strace counts calls.
# Needs Debian's valgrind, strace, nghttp2-client, gcc, openssl; root (a network namespace of its own).
#
#	bench/ingress/instructions.sh [case…]		cases: h1 headers log close tls h2 h2tls hosts:COUNT paths:COUNT calls
# hosts, paths: one of COUNT hosts, or of paths of one host, for each request, in an order that caches cannot guess.
#	REQUESTS=2000 TOP=15 BUILD=build KEEP=DIR (the profiles are left there)
[ -n "${INSTRUCTIONS_INSIDE:-}" ] || INSTRUCTIONS_INSIDE=1 exec unshare --net -- bash "$0" "$@"
here=$(cd "$(dirname "$0")" && pwd)
BUILD=$(realpath -m "${BUILD:-$here/../../build}")
N=${REQUESTS:-2000} TOP=${TOP:-15}
CASES=${*:-h1 headers log close tls h2 h2tls hosts:1 hosts:10000 paths:1 paths:10000 calls}
BACKEND=17001 PLAIN=17010 TLS=17011
declare -A TITLE=([h1]="h1 keep-alive" [headers]="h1, 20 more headers" [log]="h1, access log" [close]="h1, a connection per request"
	[tls]="h1 over TLS 1.3" [h2]="h2, 4 x 16 streams" [h2tls]="h2 over TLS 1.3")
title() { case $1 in *:*) echo "h1, a random one of ${1#*:} ${1%:*}" ;; *) echo "${TITLE[$1]}" ;; esac; }

for tool in valgrind strace h2load gcc openssl; do
	command -v $tool > /dev/null || { echo "needs $tool" >&2; exit 1; }
done
[ -x "$BUILD/portico" ] || { echo "no $BUILD/portico: make, or BUILD=DIR $0" >&2; exit 1; }
T=$(mktemp -d "${TMPDIR:-/tmp}/iinstr.XXXXXX")
chmod 777 "$T" # callgrind writes as the role
PIDS=()
bench_end() { kill "${PIDS[@]}" 2> /dev/null; wait 2> /dev/null; [ -z "${KEEP:-}" ] || cp "$T"/*.txt "$T"/cg.* "$KEEP" 2> /dev/null; rm -rf "$T"; }
trap bench_end EXIT
trap 'exit 1' INT TERM
ip link set lo up
cd "$T" || exit 1

gcc -O2 -D_GNU_SOURCE -o backend "$here/backend.c" && gcc -O2 -D_GNU_SOURCE -o ask "$here/ask.c" -lssl -lcrypto || exit 1
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=a.example \
	-addext subjectAltName=DNS:a.example -keyout key.pem -out cert.pem 2> /dev/null

conf() { # NO-LOG
	mkdir -p conf
	cat > conf/all.yaml <<-END
	{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: nginx, annotations: {ingressclass.kubernetes.io/is-default-class: "true"}}, spec: {controller: k8s.io/ingress-nginx}}
	---
	{apiVersion: v1, kind: ConfigMap, metadata: {name: ingress-nginx-controller, namespace: ingress-nginx}, data: {disable-access-log: "$1", keep-alive-requests: "10000000", upstream-keepalive-requests: "10000000"}}
	---
	{apiVersion: v1, kind: Secret, metadata: {name: cert}, type: kubernetes.io/tls, data: {tls.crt: $(base64 -w0 cert.pem), tls.key: $(base64 -w0 key.pem)}}
	---
	{apiVersion: v1, kind: Service, metadata: {name: small}, spec: {ports: [{name: http, port: 80}]}}
	---
	{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: small-1, labels: {kubernetes.io/service-name: small}}, addressType: IPv4, ports: [{name: http, port: $BACKEND}], endpoints: [{addresses: [127.0.0.1]}]}
	---
	{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: main, annotations: {nginx.ingress.kubernetes.io/ssl-redirect: "false"}}, spec: {tls: [{hosts: [a.example], secretName: cert}], rules: [{host: a.example, http: {paths: [
	 {path: /, pathType: Prefix, backend: {service: {name: small, port: {number: 80}}}}]}}]}}
	END
}

many() { # KIND COUNT: an Ingress for each host; of paths, a hundred to an Ingress
	local i k path='"pathType":"Prefix","backend":{"service":{"name":"small","port":{"number":80}}}'
	echo '{"apiVersion":"v1","kind":"List","items":['
	for ((i = 0; i < $2; i += 100)); do
		for ((k = i; k < i + 100 && k < $2; k++)); do
			if [ "$1" = hosts ]; then
				printf '%s{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"i%d"},"spec":{"rules":[{"host":"h%06d.bench.example","http":{"paths":[{"path":"/",%s}]}}]}}\n' "$([ $k = 0 ] || echo ,)" $k $k "$path"
			else
				[ $k != $i ] || printf '%s{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"i%d","annotations":{"nginx.ingress.kubernetes.io/ssl-redirect":"false"}},"spec":{"rules":[{"host":"a.example","http":{"paths":[' "$([ $i = 0 ] || echo ,)" $i
				printf '%s{"path":"/p%06d",%s}' "$([ $k = $i ] || echo ,)" $k "$path"
			fi
		done
		[ "$1" = hosts ] || echo ']}}]}}'
	done
	echo ']}'
}

load() { # CASE REQUESTS
	case $1 in
	h1 | log) ./ask 127.0.0.1:$PLAIN "$2" 16 plain ;;
	headers) ./ask 127.0.0.1:$PLAIN "$2" 16 plain 20 ;;
	close) ./ask 127.0.0.1:$PLAIN "$2" 16 close ;;
	*:*) ./ask 127.0.0.1:$PLAIN "$2" 16 plain 0 "${1%:*}" "${1#*:}" ;;
	tls) ./ask 127.0.0.1:$TLS "$2" 16 tls ;;
	h2) h2load -n"$2" -c4 -m16 -H ':authority: a.example' http://127.0.0.1:$PLAIN/ ;;
	h2tls) h2load -n"$2" -c4 -m16 --connect-to 127.0.0.1:$TLS https://a.example/ ;;
	esac > load.txt || { cat load.txt >&2; return 1; }
	case $1 in h2*) grep -q " $2 succeeded" load.txt || { cat load.txt >&2; return 1; } ;; esac
}

start() { # COMMAND…: sets PID. Not as root, which the role would give up: it writes the profile
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@" "$BUILD/portico" ingress --from "$T/conf" --http 127.0.0.1:$PLAIN --https 127.0.0.1:$TLS --workers 1 \
		--ingress-admin-address "" --log-level warn > role.log 2>&1 &
	PID=$!
	PIDS+=($PID)
	local i
	for ((i = 0; i < 600; i++)); do
		load h1 1 2> /dev/null && return
		sleep 0.1
	done
	echo "it does not serve:" >&2
	tail -5 role.log >&2
	exit 1
}
stop() { kill "$PID"; wait "$PID" 2> /dev/null; }

# Per thread, each with its own file; the first is the main thread's, whose work is not a request's.
profile() { # CASE REQUESTS NAME: function and instructions, of the worker from its start to its end
	start valgrind -q --vgdb=no --tool=callgrind --separate-threads=yes --callgrind-out-file="$T/cg.$3" || exit 1
	load "$1" "$2" || exit 1
	stop
	# shellcheck disable=SC2046
	callgrind_annotate --auto=no --tree=none --threshold=100 $(ls "$T"/cg."$3"-* | grep -v -- '-01$') 2> /dev/null |
		awk '/file:function/ { on = 1; next } on && /^ *[0-9]/ { v = $1; gsub(",", "", v); sub(/ \[[^]]*\]$/, ""); sub(/^[^)]*\) *[^:]*:/, ""); print v "\t" $0 }' > "$3.txt"
}

measure() { # CASE: the difference of two runs has no start and no end in it
	local case=$1 no_log=true
	[ "$case" = log ] && no_log=false
	conf $no_log
	rm -f conf/many.json
	[ "${case#*:}" = "$case" ] || many "${case%:*}" "${case#*:}" > conf/many.json
	profile "$case" "$N" "$case.1"
	profile "$case" $((3 * N)) "$case.2"
	awk -F '\t' -v n=$((2 * N)) 'NR == FNR { before[$2] += $1; next } { after[$2] += $1 } END { for (f in after) printf "%.1f\t%s\n", (after[f] - before[f]) / n, f }' \
		"$case.1.txt" "$case.2.txt" | sort -gr > "$case.txt"
	local total
	total=$(awk '{ s += $1 } END { printf "%d", s }' "$case.txt")
	echo "| $(title "$case") | $total |" >> table.txt
	echo "$(title "$case"): $total instructions for each request; by function, without those it calls" >> tops.txt
	head -"$TOP" "$case.txt" | awk -F '\t' '{ printf "%8d  %s\n", $1, $2 }' >> tops.txt
}

calls() { # of the worker, for each request
	local case
	conf true
	echo "System calls for each request:" >> tops.txt
	for case in h1 close tls h2; do
		start
		load $case 200
		strace -f -c -S calls -o strace.txt -p "$PID" 2> /dev/null &
		local tracer=$!
		until [ "$(awk '/TracerPid/ { print $2 }' /proc/"$PID"/status)" != 0 ]; do sleep 0.02; done
		sleep 0.2
		load $case "$N"
		kill -INT $tracer
		wait $tracer
		awk -v n="$N" -v title="${TITLE[$case]}" '$1 ~ /^[0-9.]+$/ && $NF != "total" { if ($4 / n >= 0.005) line = line sprintf("  %s %.2f", $NF, $4 / n); s += $4 }
			END { printf "  %s: %.2f:%s\n", title, s / n, line }' strace.txt >> tops.txt
		stop
	done
}

./backend $BACKEND 100 & PIDS+=($!)
: > table.txt; : > tops.txt
for c in $CASES; do
	if [ "$c" = calls ]; then calls; else measure "$c"; fi
done
[ -s table.txt ] && printf '| user-space instructions for each request | worker |\n|---|--:|\n' && cat table.txt && echo
cat tops.txt
