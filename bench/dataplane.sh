#!/bin/bash
# The Service data plane: connections a second by each way in, against going straight to the pod; with one
# Service and with 10,000; and how long the maps take. Root; builds what it needs; about a minute.
#
#   bench/dataplane.sh [BUILD-DIR]
cd "$(dirname "$0")/.." || exit 1
BUILD=${1:-build}
[ "$(id -u)" = 0 ] || { echo "needs root"; exit 1; }
make -s BUILD="$BUILD" "$BUILD/netns/dp_load" "$BUILD/netns/peer" || exit 1
. tests/netns/lib.sh
trap node_remove EXIT
peer=$(realpath "$BUILD/netns/peer")
CONNECTIONS=1000
ROUNDS=9

once() { # NS ADDR PORT : connections a second
	local t0 t1
	t0=$(date +%s%N)
	in_ns "$1" "$peer" tcp "$2" "$3" -r -n $CONNECTIONS > /dev/null || echo "failed: $*" >&2
	t1=$(date +%s%N)
	echo $((CONNECTIONS * 1000000000 / (t1 - t0)))
}
# Both ways in turn, so that whatever else the machine does meets both; the median of the rounds' ratios.
pair() { # WHAT NS DIRECT_ADDR DIRECT_PORT ADDR PORT
	for _ in $(seq $ROUNDS); do
		echo "$(once "$2" "$3" "$4") $(once "$2" "$5" "$6")"
	done | awk '{ print $2 / $1, $1, $2 }' | sort -n | sed -n "$(((ROUNDS + 1) / 2))p" |
		awk -v what="$1" '{ printf "%-38s %6d /s direct, %6d /s by the service: %.2f\n", what, $2, $3, $1 }'
}
measure() {
	pair "$1, pod to ClusterIP" pod1 10.244.0.12 8080 10.96.0.10 80
	pair "$1, outside to NodePort" nb 10.244.0.12 8080 $NODE_IP 30080
}

node_make
ip -n $ID-nb route replace 10.244.0.0/16 via $NODE_IP
start pod2 "$T/serve2" "$peer" serve pod2 8080
wait_line "$T/serve2" serving
service a 10.96.0.10 '[{"name":"web","port":80,"protocol":"TCP","nodePort":30080}]' '{"type":"NodePort"}'
slice a '[{"name":"web","port":8080,"protocol":"TCP"}]' 10.244.0.12
load_start
measure "1 Service"
jq -n '{ items: [ range(10000) as $i | "10.97.\($i / 250 | floor).\($i % 250 + 1)" as $ip |
	{ kind: "Service", metadata: { name: "s\($i)", namespace: "d" },
	  spec: { clusterIP: $ip, ports: [{ name: "web", port: 80 }] } },
	{ kind: "EndpointSlice", addressType: "IPv4", ports: [{ name: "web", port: 8080 }],
	  metadata: { name: "s\($i)-x", namespace: "d", labels: { "kubernetes.io/service-name": "s\($i)" } },
	  endpoints: [ range(3) | { addresses: ["10.244.\(($i * 3 + .) / 250 % 250 | floor).\(($i * 3 + .) % 250 + 1)"] } ] }
	] }' > "$T/objects/big.json"
load_again
measure "10,000 Services"
grep -o 'maps_us=[0-9]*.*' "$T/load" | sort -t= -k2 -n | tail -1 | sed 's/^/largest change: /'
load_again
grep -o 'maps_us=[0-9]*.*' "$T/load" | tail -1 | sed 's/^/no change: /'
slice a '[{"name":"web","port":8080,"protocol":"TCP"}]' 10.244.0.12 10.244.0.13
load_again
grep -o 'maps_us=[0-9]*.*' "$T/load" | tail -1 | sed 's/^/one endpoint more: /'
