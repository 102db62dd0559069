# lib.sh - a small node made of network namespaces: a host, three pods, a neighbour. Sourced by the tests here.
#
#   neighbour 192.168.77.2 --nb0-- 192.168.77.1 host 169.254.1.1 --ptoN-- pod N, 10.244.0.1N/32
#
# Everything is private to the test: namespaces, cgroup, BPF file system. Needs root.
: "${BUILD:=build}"
T=$(mktemp -d /tmp/dp-test.XXXXXX)
ID=dpt$$
CG_ROOT=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
CG=$CG_ROOT/$ID
NODE_IP=192.168.77.1
LB_IP=198.18.0.7
failed=0
children=

in_ns() { # NS command... : in the test's cgroup and that namespace
	local ns=$1
	shift
	sh -c 'echo $$ > "$0/cgroup.procs"; exec "$@"' "$CG" nsenter --net=/run/netns/$ID-$ns "$@"
}
start() { # NS OUTPUT command... : in the background; its pid in $STARTED
	local ns=$1 out=$2
	shift 2
	: > "$out" # at once: nobody takes what the one before has written for its word
	(exec sh -c 'echo $$ > "$0/cgroup.procs"; exec "$@"' "$CG" nsenter --net=/run/netns/$ID-$ns "$@") >> "$out" 2>&1 &
	STARTED=$!
	children="$children $STARTED"
	disown $STARTED # no word about it when it is killed
}
wait_line() { # FILE PATTERN [COUNT] : until COUNT lines match, at most 5 s
	local i=0
	while [ "$(cat "$1" 2>/dev/null | grep -c "$2")" -lt "${3:-1}" ]; do
		i=$((i + 1))
		[ $i -gt 500 ] && { echo "no '$2' in $1:"; cat "$1"; exit 1; }
		sleep 0.01
	done
}
ok() { printf 'ok   %s\n' "$1"; }
bad() { printf 'FAIL %s: %s\n' "$1" "$2"; failed=$((failed + 1)); }
expect() { # NAME PATTERN ACTUAL : an extended regular expression for the whole of it
	if printf '%s' "$3" | tr '\n' '|' | grep -qE "^($2)\$"; then ok "$1"; else bad "$1" "got '$3', wanted '$2'"; fi
}

pod_add() { # N
	ip netns add $ID-pod$1
	ip -n $ID-host link add pto$1 type veth peer name eth0 netns $ID-pod$1
	ip -n $ID-host link set pto$1 up
	ip -n $ID-pod$1 link set lo up
	ip -n $ID-pod$1 addr add 10.244.0.1$1/32 dev eth0
	ip -n $ID-pod$1 link set eth0 up
	ip -n $ID-pod$1 route add 169.254.1.1 dev eth0 scope link
	ip -n $ID-pod$1 route add default via 169.254.1.1
	ip -n $ID-pod$1 neigh replace 169.254.1.1 dev eth0 nud permanent \
		lladdr "$(ip -n $ID-host -j link show pto$1 | jq -r '.[0].address')"
	ip -n $ID-host route add 10.244.0.1$1/32 dev pto$1 src $NODE_IP
}
node_make() {
	mkdir "$CG" "$T/bpf" "$T/objects"
	ip netns add $ID-host
	ip netns add $ID-nb
	ip -n $ID-host link set lo up
	ip -n $ID-host link add nb0 type veth peer name eth0 netns $ID-nb
	ip -n $ID-host addr add $NODE_IP/24 dev nb0
	ip -n $ID-host addr add $LB_IP/32 dev lo
	ip -n $ID-host link set nb0 up
	ip -n $ID-nb addr add 192.168.77.2/24 dev eth0
	ip -n $ID-nb link set lo up
	ip -n $ID-nb link set eth0 up
	ip -n $ID-nb route add default via $NODE_IP
	in_ns host sysctl -qw net.ipv4.ip_forward=1
	for n in 1 2 3; do pod_add $n; done
}
load_start() { # [ARGS] : the loader, until it is ready
	start host "$T/load" "$BUILD/netns/dp_load" --pin "$T/bpf/portico" --cgroup "$CG" --node node1 \
		--node-ip $NODE_IP "$@" "$T/objects"
	LOAD=$STARTED
	wait_line "$T/load" '^ready$'
	wait_line "$T/load" ' netns=' 3 # until then pods are served packet by packet
}
load_again() { # after a change in $T/objects
	local n
	n=$(grep -c '^applied$' "$T/load")
	kill -HUP "$LOAD"
	wait_line "$T/load" '^applied$' $((n + 1))
}
counter() { # NAME
	local n
	n=$(grep -c "^counter $1 " "$T/load")
	kill -USR1 "$LOAD"
	wait_line "$T/load" "^counter $1 " $((n + 1))
	grep "^counter $1 " "$T/load" | tail -1 | cut -d' ' -f3
}
node_remove() {
	for pid in $children; do kill -9 "$pid" 2>/dev/null; done
	for pid in $children; do while kill -0 "$pid" 2>/dev/null; do sleep 0.01; done; done
	"$BUILD/netns/dp_load" --pin "$T/bpf/portico" --remove || failed=1
	mountpoint -q "$T/bpf" && { echo "left: the mount at $T/bpf"; umount "$T/bpf"; failed=1; }
	for ns in host nb far pod1 pod2 pod3 pod4; do ip netns del $ID-$ns 2>/dev/null; done
	for i in 1 2 3 4 5; do rmdir "$CG" 2>/dev/null && break || sleep 0.1; done
	rm -rf "$T"
}

service() { # NAME CLUSTER_IP PORTS_JSON [SPEC_JSON] [INGRESS_IP]
	jq -n --arg name "$1" --arg ip "$2" --argjson ports "$3" --argjson more "${4:-{\}}" --arg lb "${5:-}" '
		{ apiVersion: "v1", kind: "Service", metadata: { name: $name, namespace: "default" },
		  spec: ({ clusterIP: $ip, clusterIPs: [$ip], ports: $ports } + $more),
		  status: { loadBalancer: (if $lb == "" then {} else { ingress: [{ ip: $lb, ipMode: "VIP" }] } end) } }
	' > "$T/objects/svc-$1.json"
}
# ENDPOINTS: "IP", "IP:notready", "IP:terminating" …
slice() { # SERVICE PORTS_JSON ENDPOINT...
	local name=$1 ports=$2
	shift 2
	printf '%s\n' "$@" | jq -Rn --arg name "$name" --argjson ports "$ports" '
		{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: "IPv4", ports: $ports,
		  metadata: { name: ($name + "-1"), namespace: "default", labels: { "kubernetes.io/service-name": $name } },
		  endpoints: [ inputs | select(. != "") | split(":") | { addresses: [.[0]], nodeName: (if .[1] == "remote" then "node2" else "node1" end),
			conditions: { ready: (.[1] != "notready" and .[1] != "terminating"),
				      serving: (.[1] != "notready"), terminating: (.[1] == "terminating") } } ] }
	' > "$T/objects/slice-$name.json"
}
