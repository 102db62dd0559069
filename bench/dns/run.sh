#!/bin/bash
# Questions a CPU-second, latency, memory and start-up of the DNS role, CoreDNS (its kubernetes plug-in, the same API server), Knot
# and NSD with the same names, one after the other: the server pinned to CPU 0, the load to CPU 1. Root (a network namespace of
# its own); needs knot, nsd, Go (bench/dns/peers.sh).
#
#   bench/dns/run.sh                     SERVICES=10000 SECONDS_EACH=5 ROUNDS=3 SERVERS="portico coredns knot nsd" BUILD=build
#   CASES="change a mixed nxdomain srv tcp latency" bench/dns/run.sh
#
# A figure is answers / CPU seconds of the server's process (user and system, all threads) while the load ran; the median of the
# rounds, which take turns. Ratios count: the machine is not quiet.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=$(realpath -m "${BUILD:-$here/../../build}")
SERVICES=${SERVICES:-10000} SECONDS_EACH=${SECONDS_EACH:-5} ROUNDS=${ROUNDS:-3}
SERVERS=${SERVERS:-portico coredns knot nsd}
CASES=${CASES:-change a mixed nxdomain srv tcp latency}
# shellcheck source=tests/func/stack.sh
. "$here/../../tests/func/stack.sh"
stack_isolate "$@"
[ -x "$BUILD/portico" ] || { echo "no $BUILD/portico: make, or BUILD=DIR $0" >&2; exit 1; }
case " $SERVERS " in *" coredns "*) COREDNS=$("$here/peers.sh")/coredns || exit 1 ;; esac

declare -A port=([portico]=5301 [coredns]=5302 [knot]=5303 [nsd]=5304) pid=()
stack_up "$BUILD" apiserver || exit 1
T=$work/bench
mkdir -p "$T" && chmod 777 "$T"
gcc -O2 -o "$T/load" "$here/load.c" || exit 1
"$here/objects.py" create "$SERVICES" 127.0.0.1:6443 "$work/data/pki/admin.crt" "$work/data/pki/admin.key" || exit 1
for kind in a mixed nxdomain srv; do "$here/objects.py" names "$SERVICES" $kind > "$T/$kind"; done
"$here/objects.py" zone "$SERVICES" > "$T/zone"

start() { # NAME
	case $1 in
	portico) "$BUILD/portico" dns --kubeconfig "$work/admin.kubeconfig" --listen 127.0.0.1:${port[portico]} --workers 1 \
		--dns-admin-address '' --run-dir "$T/run" --data-dir "$T/data" ;;
	coredns)
		printf '.:%s {\n bind 127.0.0.1\n errors\n kubernetes cluster.local {\n  kubeconfig %s\n  ttl 30\n }\n}\n' \
			"${port[coredns]}" "$work/admin.kubeconfig" > "$T/Corefile"
		GOMAXPROCS=1 "$COREDNS" -conf "$T/Corefile" ;;
	knot)
		printf 'server:\n  listen: 127.0.0.1@%s\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n  rundir: %s\ndatabase:\n  storage: %s\nzone:\n  - domain: cluster.local\n    file: %s\n    zonefile-sync: -1\n' \
			"${port[knot]}" "$T" "$T/knot" "$T/zone" > "$T/knot.conf"
		knotd -c "$T/knot.conf" ;;
	nsd)
		printf 'server:\n  ip-address: 127.0.0.1@%s\n  server-count: 1\n  username: ""\n  zonesdir: "%s"\n  pidfile: "%s/nsd.pid"\n  xfrdfile: ""\n  zonelistfile: "%s/nsd.list"\n  database: ""\n  rrl-ratelimit: 0\nremote-control:\n  control-enable: no\nzone:\n  name: cluster.local\n  zonefile: zone\n' \
			"${port[nsd]}" "$T" "$T" "$T" > "$T/nsd.conf"
		nsd -d -c "$T/nsd.conf" ;;
	esac > "$T/$1.log" 2>&1
}
answers() { # NAME: the last name is there
	dig +short +tries=1 +time=1 -p "${port[$1]}" @127.0.0.1 "$(tail -1 "$T/a" | cut -d' ' -f1)" A 2> /dev/null | grep -q '^[0-9.]*$'
}
tree() { # PID: it and its children
	echo "$1"
	for child in $(cat "/proc/$1/task"/*/children 2> /dev/null); do tree "$child"; done
}
cpu_ticks() { # PID
	local sum=0 p
	for p in $(tree "$1"); do sum=$((sum + $(awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$p/stat"))); done
	echo $sum
}
memory_kib() { # PID: PSS
	local sum=0 p
	for p in $(tree "$1"); do sum=$((sum + $(awk '/^Pss:/ { print $2 }' "/proc/$p/smaps_rollup"))); done
	echo $sum
}
server_up() { # NAME: prints milliseconds until it answers
	local since
	since=$(date +%s%3N)
	taskset -pc 0 $BASHPID > /dev/null
	start "$1" &
	pid[$1]=$!
	taskset -pc 1 $BASHPID > /dev/null
	wait_for 60 answers "$1" || { echo "$1 does not answer" >&2; cat "$T/$1.log" >&2; exit 1; }
	echo "start $1 $(($(date +%s%3N) - since)) ms" >> "$T/results"
}
one() { # NAME CASE
	local names=$2 flags=() ticks answered out
	case $2 in tcp) names=a flags=(-t -c 4) ;; latency) names=a flags=(-r 5000 -c 4) ;; esac
	ticks=$(cpu_ticks "${pid[$1]}")
	out=$(taskset -c 1 "$T/load" -p "${port[$1]}" -d "$SECONDS_EACH" "${flags[@]}" "$T/$names") || { echo "$1 $2: load failed" >&2; return; }
	ticks=$(($(cpu_ticks "${pid[$1]}") - ticks))
	answered=$(jq .answered <<< "$out")
	echo "$2 $1 $((answered * $(getconf CLK_TCK) / (ticks ? ticks : 1))) $(jq -r '"\(.p50us) \(.p99us) \(.perSecond) \(.lost) \(.noerror) \(.nxdomain)"' <<< "$out")" >> "$T/results"
}

servers_down() {
	local s
	# shellcheck disable=SC2046
	for s in "${!pid[@]}"; do kill $(tree "${pid[$s]}") 2> /dev/null; done
	stack_down
}
trap servers_down EXIT
for s in $SERVERS; do server_up "$s"; done
for s in $SERVERS; do echo "memory $s $(memory_kib "${pid[$s]}")" >> "$T/results"; done
case " $CASES " in *" change "*)
	watchers=()
	for s in $SERVERS; do case $s in portico | coredns) watchers+=("$s=${port[$s]}") ;; esac; done
	"$here/change.py" "${CHANGES:-200}" 127.0.0.1:6443 "$work/data/pki/admin.crt" "$work/data/pki/admin.key" "${watchers[@]}" > "$T/change"
	CASES=${CASES/change/} ;;
esac
for _ in $(seq "$ROUNDS"); do
	for c in $CASES; do for s in $SERVERS; do one "$s" "$c"; done; done
done

printf '%s Services, %s s a case, %s rounds; %s, kernel %s, load %s\n' "$SERVICES" "$SECONDS_EACH" "$ROUNDS" \
	"$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)" "$(uname -r)" "$(cut -d' ' -f1 /proc/loadavg)"
python3 - "$T/results" <<'END'
import collections, statistics, sys
rows = collections.defaultdict(list)
for line in open(sys.argv[1]):
    w = line.split()
    rows[w[0], w[1]].append(w[2:])
servers = list(dict.fromkeys(s for _, s in rows))
print(f"{'':10}" + "".join(f"{s:>26}" for s in servers))
def median(case, s, at):
    return statistics.median(float(r[at]) for r in rows[case, s])
for case in dict.fromkeys(c for c, _ in rows):
    if case in ("memory", "start"):
        unit = 1024 if case == "memory" else 1
        print(f"{case:10}" + "".join(f"{median(case, s, 0) / unit:23.1f} {'MiB' if unit > 1 else 'ms'}" for s in servers))
        continue
    base = median(case, "coredns", 0) if (case, "coredns") in rows else 0
    if case == "latency":
        print(f"{case:10}" + "".join(f"{median(case, s, 1):14.0f} / {median(case, s, 2):.0f} us".rjust(26) for s in servers))
        continue
    print(f"{case:10}" + "".join(f"{median(case, s, 0):14.0f} /CPU-s {median(case, s, 0) / base if base else 0:4.1f}x" for s in servers))
    lost = {s: sum(int(r[4]) for r in rows[case, s]) for s in servers}
    if any(lost.values()):
        print(f"{'':10}lost: {lost}")
END
[ ! -s "$T/change" ] || { echo "after the API server's answer:"; cat "$T/change"; }
