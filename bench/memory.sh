#!/bin/bash
# Memory of every process, idle and with 1,000 Services, against etcd + kube-apiserver +
# kube-controller-manager with the same Services. Root; SERVICES=1000, SETTLE=10 seconds.
#
#   bench/memory.sh
. "$(dirname "$0")/lib.sh"
SERVICES=${SERVICES:-1000}
SETTLE=${SETTLE:-10} # for start-up garbage to be collected: the peer is written in Go

memory_of() { # NAME PID STATE SIDE → STATE SIDE NAME PSS-KIB RSS-KIB
	awk -v row="$3 $4 $1" '$1 == "Pss:" { p = $2 } $1 == "Rss:" { r = $2 } END { print row, p, r }' \
		"/proc/$2/smaps_rollup"
}
portico_pids() {
	portico status -o json | tr '{,' '\n\n' | sed -n 's/.*"name": *"\(.*\)".*/\1/p; s/.*"pid": *\([0-9]*\).*/\1/p' |
		awk 'NR == 1 { print "supervisor", $0; next } /^[a-z]/ { name = $0; next } { print name, $0 }'
}
peer_pids() {
	for pid in "${PEER_PIDS[@]}"; do echo "$(tr -d '\0' < "/proc/$pid/comm") $pid"; done
}
record() { # STATE SIDE
	sleep "$SETTLE"
	"$2_pids" | while read -r name pid; do memory_of "$name" "$pid" "$1" "$2"; done >> "$T/all"
}

machine
portico_up || exit 1
wait_ready portico
record idle portico
portico_client services "$SERVICES"
record services portico
portico_down

peer_certs
peer_up
wait_ready peer
record idle peer
peer_client services "$SERVICES"
record services peer
peer_down

awk -v services="$SERVICES" '
	{ key = $2 " " $3; if (!(key in seen)) { seen[key] = 1; order[++n] = key }
	  pss[key, $1] = $4 / 1024; rss[key, $1] = $5 / 1024
	  if ($3 != "containerd") { total[$2, $1] += $4 / 1024; total_rss[$2, $1] += $5 / 1024 } }
	function row(name, a, b, c, d) { printf "%-34s %9.1f %9.1f   %9.1f %9.1f\n", name, a, b, c, d }
	function sum(side) {
		row(side ": sum", total[side, "idle"], total_rss[side, "idle"], total[side, "services"], total_rss[side, "services"])
	}
	END {
		printf "%-34s %19s   %19s\n%-34s %9s %9s   %9s %9s\n", "MB", "idle", services " Services", "", "PSS", "RSS", "PSS", "RSS"
		for (i = 1; i <= n; i++)
			if (order[i] !~ /containerd/)
				row(order[i], pss[order[i], "idle"], rss[order[i], "idle"], pss[order[i], "services"], rss[order[i], "services"])
		sum("portico")
		sum("peer")
		printf "%-34s %9.1f %9.1f   %9.1f %9.1f\n", "peer / portico", total["peer", "idle"] / total["portico", "idle"],
			total_rss["peer", "idle"] / total_rss["portico", "idle"],
			total["peer", "services"] / total["portico", "services"],
			total_rss["peer", "services"] / total_rss["portico", "services"]
		k = "portico containerd"
		row("apart: " k, pss[k, "idle"], rss[k, "idle"], pss[k, "services"], rss[k, "services"])
	}' "$T/all"
