#!/bin/bash
# The Service data plane on a node made of namespaces: every way in, restarts, changes. Root; about 20 s.
cd "$(dirname "$0")/../.." || exit 1
. tests/netns/lib.sh
[ "$(id -u)" = 0 ] || { echo "skipped: needs root"; exit 0; }
trap node_remove EXIT
peer=$(realpath "$BUILD/netns/peer")

tcp() { in_ns "$1" "$peer" tcp "${@:2}" 2>&1; }
udp() { in_ns "$1" "$peer" udp "${@:2}" 2>&1; }
WEB='[{"name":"web","port":8080,"protocol":"TCP"},{"name":"dns","port":8080,"protocol":"UDP"}]'
PODS="10.244.0.11 10.244.0.12 10.244.0.13"

node_make
for n in 1 2 3; do start pod$n "$T/serve$n" "$peer" serve pod$n 8080; done
start host "$T/serveh" "$peer" serve node 9090
for n in 1 2 3 h; do wait_line "$T/serve$n" serving; done

service a 10.96.0.10 '[{"name":"web","port":80,"protocol":"TCP","nodePort":30080},{"name":"dns","port":53,"protocol":"UDP","nodePort":30053}]' '{"type":"LoadBalancer"}' $LB_IP
slice a "$WEB" $PODS
service one 10.96.0.11 '[{"name":"web","port":80,"protocol":"TCP","nodePort":30081}]' '{"type":"NodePort"}'
slice one "$WEB" 10.244.0.11
service two 10.96.0.12 '[{"name":"web","port":80,"protocol":"TCP","nodePort":30082}]' '{"type":"NodePort"}'
slice two "$WEB" 10.244.0.11
service empty 10.96.0.13 '[{"name":"web","port":80,"protocol":"TCP","nodePort":30083},{"name":"dns","port":53,"protocol":"UDP"}]' '{"type":"NodePort"}'
slice empty "$WEB" 10.244.0.11:notready
service node 10.96.0.14 '[{"name":"web","port":80,"protocol":"TCP","nodePort":30084},{"name":"dns","port":53,"protocol":"UDP","nodePort":30054}]' '{"type":"NodePort"}'
slice node '[{"name":"web","port":9090,"protocol":"TCP"},{"name":"dns","port":9090,"protocol":"UDP"}]' $NODE_IP
service sticky 10.96.0.15 '[{"name":"web","port":80,"protocol":"TCP","nodePort":30085}]' '{"type":"NodePort","sessionAffinity":"ClientIP","sessionAffinityConfig":{"clientIP":{"timeoutSeconds":2}}}'
slice sticky "$WEB" $PODS
service ranges 10.96.0.16 '[{"name":"web","port":81,"protocol":"TCP"}]' '{"type":"LoadBalancer","loadBalancerSourceRanges":["192.168.77.128/25","10.244.0.11/32"]}' $LB_IP
slice ranges "$WEB" $PODS
service local 10.96.0.17 '[{"name":"web","port":80,"protocol":"TCP","nodePort":30087}]' '{"type":"NodePort","externalTrafficPolicy":"Local"}'
slice local "$WEB" 10.244.0.11:remote
load_start "$@"

# --- ClusterIP
expect "ClusterIP TCP from a pod, getpeername shows the service" 'pod. 10.244.0.11 10.96.0.10:80' "$(tcp pod1 10.96.0.10 80)"
expect "ClusterIP TCP from the node" 'pod. [0-9.]* 10.96.0.10:80' "$(tcp host 10.96.0.10 80)"
expect "ClusterIP UDP unconnected, recvmsg shows the service" 'pod. 10.244.0.12 10.96.0.10:53' "$(udp pod2 10.96.0.10 53)"
expect "ClusterIP UDP connected" 'pod. 10.244.0.12 10.96.0.10:53' "$(udp pod2 10.96.0.10 53 -c)"
expect "ClusterIP TCP, v4-mapped" 'pod. 10.244.0.11 ::ffff:10.96.0.10:80' "$(tcp pod1 10.96.0.10 80 -6)"
expect "ClusterIP UDP, v4-mapped" 'pod. 10.244.0.11 ::ffff:10.96.0.10:53' "$(udp pod1 10.96.0.10 53 -6)"
expect "ClusterIP UDP, v4-mapped, connected" 'pod. 10.244.0.11 ::ffff:10.96.0.10:53' "$(udp pod1 10.96.0.10 53 -6 -c)"
expect "one unconnected UDP socket keeps its backend" 1 "$(udp pod1 10.96.0.10 53 -n 12 | cut -d' ' -f1 | sort -u | wc -l)"
expect "300 connections, spread evenly" 'true' "$(tcp pod1 10.96.0.10 80 -n 300 | cut -d' ' -f1 | sort | uniq -c | awk '$1 < 75 || $1 > 126 { bad = 1 } END { print NR == 3 && !bad ? "true" : "false" }')"
expect "hairpin: a pod reaches itself by its service" 'pod1 10.244.0.11 10.96.0.11:80' "$(tcp pod1 10.96.0.11 80)"
expect "backend in the host's network" 'node 10.244.0.11 10.96.0.14:80' "$(tcp pod1 10.96.0.14 80)"
expect "backend in the host's network, UDP" 'node 10.244.0.11 10.96.0.14:53' "$(udp pod1 10.96.0.14 53)"
expect "no endpoints: refused" ECONNREFUSED "$(tcp pod1 10.96.0.13 80)"
expect "no endpoints, from the node: refused" ECONNREFUSED "$(tcp host 10.96.0.13 80)"
expect "no endpoints, UDP: refused" ECONNREFUSED "$(udp pod1 10.96.0.13 53)"
expect "undefined port: refused" ECONNREFUSED "$(tcp pod1 10.96.0.10 81)"
expect "undefined protocol: refused" ECONNREFUSED "$(udp pod1 10.96.0.11 80)"
expect "unknown ClusterIP goes nowhere" EHOSTUNREACH "$(tcp pod1 10.96.9.9 80)"
expect "a namespace that is not ours is left alone" 'E(HOSTUNREACH|TIMEDOUT|NETUNREACH|CONNREFUSED)' "$(tcp nb 10.96.0.10 80)"
expect "session affinity" 1 "$(tcp pod1 10.96.0.15 80 -n 20 | cut -d' ' -f1 | sort -u | wc -l)"

# --- NodePort
expect "NodePort by 127.0.0.1" 'pod. [0-9.]* 127.0.0.1:30080' "$(tcp host 127.0.0.1 30080)"
expect "NodePort by 127.0.0.1, v4-mapped" 'pod. [0-9.]* ::ffff:127.0.0.1:30080' "$(tcp host 127.0.0.1 30080 -6)"
expect "NodePort by the node's address, from the node" "pod. [0-9.]* $NODE_IP:30080" "$(tcp host $NODE_IP 30080)"
expect "NodePort from a pod" "pod. 10.244.0.12 $NODE_IP:30080" "$(tcp pod2 $NODE_IP 30080)"
expect "NodePort by 127.0.0.1 in a pod is the pod's own" ECONNREFUSED "$(tcp pod2 127.0.0.1 30080)"
expect "NodePort from outside, source kept" "pod. 192.168.77.2 $NODE_IP:30080" "$(tcp nb $NODE_IP 30080)"
expect "NodePort UDP from outside" "pod. 192.168.77.2 $NODE_IP:30053" "$(udp nb $NODE_IP 30053)"
expect "NodePort from outside, 90 connections evenly" 'true' "$(tcp nb $NODE_IP 30080 -n 90 | cut -d' ' -f1 | sort | uniq -c | awk '$1 < 22 || $1 > 38 { bad = 1 } END { print NR == 3 && !bad ? "true" : "false" }')"
expect "NodePort from outside to the host's network" "node 192.168.77.2 $NODE_IP:30084" "$(tcp nb $NODE_IP 30084)"
expect "NodePort UDP from outside to the host's network" "node 192.168.77.2 $NODE_IP:30054" "$(udp nb $NODE_IP 30054)"
expect "NodePort without endpoints, from outside: refused" ECONNREFUSED "$(tcp nb $NODE_IP 30083)"
expect "NodePort, session affinity from outside" 1 "$(tcp nb $NODE_IP 30085 -n 20 | cut -d' ' -f1 | sort -u | wc -l)"
expect "policy Local without local endpoint is silent" 'ETIMEDOUT|EAGAIN' "$(tcp nb $NODE_IP 30087)"
expect "and counted" '[1-9][0-9]*' "$(counter no_local_endpoints)"
expect "a ClusterIP from outside is not served" 'E(HOSTUNREACH|TIMEDOUT|NETUNREACH|CONNREFUSED)' "$(tcp nb 10.96.0.11 80)"

# --- LoadBalancer
expect "LoadBalancer from the node" "pod. [0-9.]* $LB_IP:80" "$(tcp host $LB_IP 80)"
expect "LoadBalancer from a pod" "pod. 10.244.0.13 $LB_IP:80" "$(tcp pod3 $LB_IP 80)"
expect "LoadBalancer from outside" "pod. 192.168.77.2 $LB_IP:80" "$(tcp nb $LB_IP 80)"
expect "LoadBalancer UDP from outside" "pod. 192.168.77.2 $LB_IP:53" "$(udp nb $LB_IP 53)"
expect "LoadBalancer, undefined port: refused" ECONNREFUSED "$(tcp nb $LB_IP 8)"
expect "source range denied" 'ETIMEDOUT|EAGAIN' "$(tcp nb $LB_IP 81)"
ip -n $ID-nb addr add 192.168.77.130/24 dev eth0
expect "source range allowed" "pod. 192.168.77.130 $LB_IP:81" "$(tcp nb $LB_IP 81 -b 192.168.77.130)"

# --- ICMP errors about translated connections
service closed 10.96.0.22 '[{"name":"dns","port":99,"protocol":"UDP","nodePort":30099}]' '{"type":"NodePort"}'
slice closed '[{"name":"dns","port":9999,"protocol":"UDP"}]' 10.244.0.12
load_again
expect "a closed UDP port behind a NodePort: the client is told" ECONNREFUSED "$(udp nb $NODE_IP 30099 -c)"
# far 192.168.78.2 -- 192.168.78.1 nb: what nb forwards to it may have 1,300 bytes, as its answer says.
ip netns add $ID-far
ip -n $ID-nb link add far type veth peer name eth0 netns $ID-far
ip -n $ID-nb addr add 192.168.78.1/24 dev far
ip -n $ID-nb link set far up
in_ns nb sysctl -qw net.ipv4.ip_forward=1
ip -n $ID-far addr add 192.168.78.2/24 dev eth0
ip -n $ID-far link set eth0 up
ip -n $ID-far route add default via 192.168.78.1
ip -n $ID-nb route add 192.168.78.2/32 dev far mtu lock 1300
ip -n $ID-host route add 192.168.78.0/24 via 192.168.77.2
expect "a smaller path MTU behind a router" "pod. 192.168.78.2 $NODE_IP:30080" "$(tcp far $NODE_IP 30080 -s 20000)"

# --- one client tuple, three destinations with the same pod behind them
start nb "$T/keep1" "$peer" tcp $NODE_IP 30081 -p 40001 -k
wait_line "$T/keep1" pod1
expect "same tuple to a second service while the first lives" "pod1 192.168.77.2 $NODE_IP:30082" "$(tcp nb $NODE_IP 30082 -p 40001)"
ip -n $ID-nb route replace 10.244.0.0/16 via $NODE_IP
expect "same tuple to the pod itself" "pod1 192.168.77.2 10.244.0.11:8080" "$(tcp nb 10.244.0.11 8080 -p 40001)"
start nb "$T/keep2" "$peer" tcp 10.244.0.11 8080 -p 40002 -k
wait_line "$T/keep2" pod1
expect "same tuple to a service while a direct one lives" "pod1 192.168.77.2 $NODE_IP:30081" "$(tcp nb $NODE_IP 30081 -p 40002)"

# --- pods whose sockets are out of reach (another runtime's cgroup): packet by packet
raw() { nsenter --net=/run/netns/$ID-"$1" "$peer" "${@:2}" 2>&1; }
expect "ClusterIP TCP by packets" 'pod1 10.244.0.12 10.96.0.11:80' "$(raw pod2 tcp 10.96.0.11 80)"
expect "ClusterIP UDP by packets" 'pod. (10.244.0.12|192.168.77.1) 10.96.0.10:53' "$(raw pod2 udp 10.96.0.10 53)"
expect "hairpin by packets" "pod1 $NODE_IP 10.96.0.11:80" "$(raw pod1 tcp 10.96.0.11 80)"
expect "host's network by packets" 'node 10.244.0.12 10.96.0.14:80' "$(raw pod2 tcp 10.96.0.14 80)"
expect "host's network by packets, UDP" 'node 10.244.0.12 10.96.0.14:53' "$(raw pod2 udp 10.96.0.14 53)"
expect "NodePort by packets" "pod1 10.244.0.12 $NODE_IP:30081" "$(raw pod2 tcp $NODE_IP 30081)"
expect "unknown ClusterIP by packets goes nowhere" ETIMEDOUT "$(raw pod2 tcp 10.96.9.9 80)"

# --- changes
start pod2 "$T/keep3" "$peer" tcp 10.96.0.11 80 -k
wait_line "$T/keep3" pod1
slice one "$WEB" 10.244.0.12 10.244.0.11:terminating
load_again
expect "a terminating endpoint gets no new connections" 'pod2' "$(tcp pod1 10.96.0.11 80 -n 20 | cut -d' ' -f1 | sort -u)"
expect "nor from outside" 'pod2' "$(tcp nb $NODE_IP 30081 -n 20 | cut -d' ' -f1 | sort -u)"
slice one "$WEB" 10.244.0.11:terminating 10.244.0.12:notready
load_again
expect "terminating and serving, when nothing is ready" 'pod1' "$(tcp pod1 10.96.0.11 80 -n 5 | cut -d' ' -f1 | sort -u)"
slice one "$WEB" 10.244.0.13
load_again
start nb "$T/keep4" "$peer" tcp $LB_IP 80 -k
wait_line "$T/keep4" pod

service udp 10.96.0.21 '[{"name":"dns","port":53,"protocol":"UDP"}]'
slice udp "$WEB" 10.244.0.13
load_again
start pod1 "$T/udp1" "$peer" udp 10.96.0.21 53 -c -k
start host "$T/udp2" "$peer" udp 10.96.0.21 53 -c -k
start host "$T/udp3" "$peer" udp 10.244.0.13 8080 -c -k
for n in 1 2 3; do wait_line "$T/udp$n" pod3; done
slice udp "$WEB" 10.244.0.12
load_again
wait_line "$T/udp1" '^E'
expect "a UDP socket connected to a backend that is gone is ended, in a pod" 'ECONNABORTED|EDESTADDRREQ' "$(tail -1 "$T/udp1")"
wait_line "$T/udp2" '^E'
expect "and on the node" 'ECONNABORTED|EDESTADDRREQ' "$(tail -1 "$T/udp2")"
expect "but not one that is connected to the pod itself" 0 "$(grep -c '^E' "$T/udp3")"

# --- the role dies and comes back while connections go on and new ones are made
start pod1 "$T/many1" "$peer" tcp 10.96.0.10 80 -n 20000
MANY1=$STARTED
start nb "$T/many2" "$peer" tcp $NODE_IP 30080 -n 20000
MANY2=$STARTED
kill -9 "$LOAD"
expect "served without the role" 'pod. 192.168.77.2 .*' "$(tcp nb $NODE_IP 30080)"
load_start "$@"
kill -9 "$LOAD"
load_start "$@"
expect "affinity survives" 1 "$( (tcp nb $NODE_IP 30085; tcp nb $NODE_IP 30085) | cut -d' ' -f1 | sort -u | wc -l)"
kill $MANY1 $MANY2 2>/dev/null
expect "no connection failed meanwhile" 0 "$(cat "$T/many1" "$T/many2" | grep -c '^E')"
expect "and there were many" 'true' "$([ "$(cat "$T/many1" "$T/many2" | wc -l)" -gt 200 ] && echo true)"

# --- a service and a pod come and go
service late 10.96.0.20 '[{"name":"web","port":80,"protocol":"TCP"}]'
slice late "$WEB" 10.244.0.12
load_again
expect "a new service" 'pod2 10.244.0.11 10.96.0.20:80' "$(tcp pod1 10.96.0.20 80)"
rm "$T/objects/svc-late.json"
load_again
expect "a removed service" EHOSTUNREACH "$(tcp pod1 10.96.0.20 80)"
pod_add 4
for i in $(seq 100); do tcp pod4 10.96.0.10 80 > "$T/new" && break; sleep 0.02; done
expect "a new pod is served" 'pod. 10.244.0.14 10.96.0.10:80' "$(cat "$T/new")"
ip netns del $ID-pod4

for n in 1 2 3 4; do
	if grep -q '^E' "$T/keep$n"; then bad "kept connection $n" "$(cat "$T/keep$n")"; else ok "kept connection $n lives"; fi
done
echo "failed: $failed"
exit $((failed > 0))
