#!/bin/bash
# What a cluster name costs when the kernel answers it at the pod's veth: a pod's namespace asks for SERVICES Services. Root.
#
#   bench/dns/kernel.sh                  SERVICES=10000 SECONDS_EACH=3 ROUNDS=3 BUILD=build ("make BUILD=… netns" builds its tools)
#
# Two figures for each kind of question, the median of the rounds:
#   program  the BPF program's own run time a question (kernel.bpf_stats_enabled, which itself costs some 20 ns a run)
#   path     all CPU time that the machine spends on a question and its answer: the asker's system calls, both ends of the veth, the
#            program, ksoftirqd; and for questions that user space answers (a plain loop here, not the role's) that process's as well
#   With PEER=coredns (bench/dns/peers.sh, Go) the same asker asks CoreDNS over the same veth: its hosts plug-in has the names, which is
#   less work for it than its kubernetes plug-in.
# CPU times are the scheduler's: other work on the machine makes them noisier, not larger.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=$(realpath -m "${BUILD:-$here/../../build}")
SERVICES=${SERVICES:-10000} SECONDS_EACH=${SECONDS_EACH:-3} ROUNDS=${ROUNDS:-3}
SERVER=10.96.0.10
ID=dnsb$$
T=$(mktemp -d "${TMPDIR:-/tmp}/dnsb.XXXXXX")
[ "$(id -u)" = 0 ] || { echo "needs root: network namespaces and BPF" >&2; exit 1; }
[ -x "$BUILD/netns/dns_node" ] || { echo "no $BUILD/netns/dns_node: make netns, or BUILD=DIR $0" >&2; exit 1; }
stats_before=$(sysctl -n kernel.bpf_stats_enabled)
PEER=${PEER:-}
if [ "$PEER" = coredns ]; then COREDNS=$("$here/peers.sh")/coredns || exit 1; fi
PEER_PORT=1053
NODE= PEER_PID=
finish() {
	sysctl -qw kernel.bpf_stats_enabled="$stats_before"
	[ -n "$NODE" ] && kill -9 "$NODE" 2> /dev/null
	[ -n "$PEER_PID" ] && kill -9 "$PEER_PID" 2> /dev/null
	exec 9>&-
	ip netns del $ID-host 2> /dev/null
	ip netns del $ID-pod 2> /dev/null
	rm -rf "$T"
}
trap finish EXIT
trap 'exit 1' INT TERM

set -e
gcc -O2 -o "$T/load" "$here/load.c"
ip netns add $ID-host
ip netns add $ID-pod
ip -n $ID-host link set lo up
ip -n $ID-host addr add $SERVER/32 dev lo
ip -n $ID-host link add pto1 type veth peer name eth0 netns $ID-pod
ip -n $ID-host addr add 169.254.1.1/32 dev pto1
ip -n $ID-host link set pto1 up
ip -n $ID-host route add 10.244.0.5/32 dev pto1
ip -n $ID-pod addr add 10.244.0.5/32 dev eth0
ip -n $ID-pod link set eth0 up
ip -n $ID-pod route add 169.254.1.1 dev eth0 scope link
ip -n $ID-pod route add default via 169.254.1.1
set +e

names() { # a aaaa srv nodata nxdomain
	seq 0 $((SERVICES - 1)) | awk -v kind="$1" '
		{ name = "svc-" $1 ".ns-" $1 % 10 ".svc.cluster.local" }
		kind == "a"        { print name, "A" }
		kind == "nodata"   { print name, "AAAA" }
		kind == "srv"      { print "_http._tcp." name, "SRV" }
		kind == "nxdomain" { print "www." $1 ".example.com.ns-" $1 % 10 ".svc.cluster.local A" }
		kind == "mixed"    { print name, "A"; print name, "AAAA" }'
}
mkfifo "$T/in"
exec 9<> "$T/in"
nsenter --net=/run/netns/$ID-host taskset -c 0 "$BUILD/netns/dns_node" $SERVER:53 "$SERVICES" < "$T/in" > "$T/out" 2> "$T/err" 9>&- &
NODE=$!
for _ in $(seq 300); do
	echo counts >&9
	sleep 0.1
	tail -1 "$T/out" | grep -q '^interfaces 1' && break
done
tail -1 "$T/out" | grep -q '^interfaces 1' || { cat "$T/out" "$T/err" >&2; exit 1; }
for kind in a mixed nodata srv nxdomain; do names $kind > "$T/$kind"; done
sysctl -qw kernel.bpf_stats_enabled=1
PROGRAM=$(bpftool -j prog show name dns_answer | jq 'if type == "array" then map(.id) | max else .id end')

program_ns() { bpftool -j prog show id "$PROGRAM" | jq -r '"\(.run_time_ns // 0) \(.run_cnt // 0)"'; }
others_ns() { # of ksoftirqd, the node and the peer
	cat /proc/"$NODE"/task/*/schedstat ${PEER_PID:+/proc/"$PEER_PID"/task/*/schedstat} $(for p in $(pgrep ksoftirqd); do echo "/proc/$p/schedstat"; done) | awk '{ s += $1 } END { printf "%.0f\n", s }'
}
one() { # KIND WAY
	local before after others cpu out port=53
	[ "$2" = coredns ] && port=$PEER_PORT
	before=$(program_ns) others=$(others_ns)
	TIMEFORMAT='%U %S'
	cpu=$({ time nsenter --net=/run/netns/$ID-pod taskset -c 1 "$T/load" -s $SERVER -p $port -d "$SECONDS_EACH" "$T/$1" > "$T/load.json"; } 2>&1)
	others=$(($(others_ns) - others)) after=$(program_ns)
	out=$(jq .answered "$T/load.json")
	echo "$1 $2 $before $after $cpu $others $out" | awk '{
		program = ($6 > $4) ? ($5 - $3) / ($6 - $4) : 0
		printf "%s %s %.0f %.0f\n", $1, $2, program, (($7 + $8) * 1e9 + $9) / $10
	}' >> "$T/results"
}
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

if [ "$PEER" = coredns ]; then
	awk '{ printf "10.%d.%d.%d %s\n", 100 + NR / 62500, NR / 250 % 250, NR % 250 + 1, $1 }' "$T/a" > "$T/hosts"
	printf '.:%s {\n bind %s\n hosts %s {\n  ttl 30\n }\n}\n' $PEER_PORT $SERVER "$T/hosts" > "$T/Corefile"
	GOMAXPROCS=1 nsenter --net=/run/netns/$ID-host taskset -c 0 "$COREDNS" -conf "$T/Corefile" > "$T/peer.log" 2>&1 9>&- &
	PEER_PID=$!
	for _ in $(seq 100); do
		nsenter --net=/run/netns/$ID-host dig +short +tries=1 +time=1 -p $PEER_PORT @$SERVER "$(tail -1 "$T/a" | cut -d' ' -f1)" 2> /dev/null | grep -q '^10\.' && break
		sleep 0.1
	done
fi
for _ in $(seq "$ROUNDS"); do
	for kind in a mixed nodata srv nxdomain; do one $kind kernel; done
	[ "$PEER" != coredns ] || one a coredns
	echo pause >&9
	sleep 0.2
	one a user
	echo resume >&9
	sleep 0.2
done
printf '%-10s %-8s %12s %22s %12s %18s\n' question answerer 'program ns' 'program 1/CPU-second' 'path ns' 'path 1/CPU-second'
while read -r kind way; do
	p=$(awk -v k="$kind" -v w="$way" '$1 == k && $2 == w { print $3 }' "$T/results" | median)
	all=$(awk -v k="$kind" -v w="$way" '$1 == k && $2 == w { print $4 }' "$T/results" | median)
	printf '%-10s %-8s %12s %22s %12s %18s\n' "$kind" "$way" "$p" "$((p ? 1000000000 / p : 0))" "$all" "$((1000000000 / all))"
done < <(cut -d' ' -f1,2 "$T/results" | sort -u)
grep '^ready' "$T/out"
