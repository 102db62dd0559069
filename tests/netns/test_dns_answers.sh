#!/bin/bash
# Cluster names answered at a pod's veth: real packets, changes, and what is left when a process dies. Root; about 15 s.
cd "$(dirname "$0")/../.." || exit 1
[ "$(id -u)" = 0 ] || { echo "skipped: needs root"; exit 0; }
: "${BUILD:=build}"
T=$(mktemp -d /tmp/dns-test.XXXXXX)
ID=dnst$$
SERVER=10.96.0.10
failed=0
NODE=

ok() { printf 'ok   %s\n' "$1"; }
bad() { printf 'FAIL %s: %s\n' "$1" "$2"; failed=$((failed + 1)); }
expect() { # NAME PATTERN ACTUAL : an extended regular expression for the whole of it
	if echo "$(printf '%s' "$3" | tr '\n' '|')" | grep -qE "^($2)\$"; then ok "$1"; else bad "$1" "got '$3', wanted '$2'"; fi
}
wait_for() { # COMMAND... : at most 5 s
	for _ in $(seq 500); do "$@" > /dev/null 2>&1 && return; sleep 0.01; done
	bad "waited for" "$*"
}
host() { nsenter --net=/run/netns/$ID-host "$@"; }
pod() { nsenter --net="/run/netns/$ID-pod$1" "${@:2}"; }
ask() { pod "$1" dig +nocookie +short +tries=1 +time=1 "@$SERVER" "${@:2}" 2>&1 | grep -v '^;;' ; }
say() { # COMMAND : its answer
	local n
	n=$(wc -l < "$T/out")
	echo "$1" >&9
	wait_for eval "[ \$(wc -l < '$T/out') -gt $n ]"
	tail -1 "$T/out"
}
count() { say counts | grep -o "$1 [0-9]*" | cut -d' ' -f2; } # interfaces, answered, denied, passed, asked
interfaces_are() { [ "$(count interfaces)" = "$1" ]; }
grows() { # COUNTER TEXT COMMAND... : the command makes it larger
	local before
	before=$(count "$1")
	"${@:3}" > /dev/null
	if [ "$(count "$1")" -gt "$before" ]; then ok "$2"; else bad "$2" "$1 is $before as before"; fi
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
	ip -n $ID-host addr add 169.254.1.1/32 dev pto$1
	ip -n $ID-host route add 10.244.0.1$1/32 dev pto$1
}
bridged_pod_add() { # N: as the bridge plug-in does it: made in the pod, one end moved out and enslaved
	ip netns add $ID-pod$1
	ip -n $ID-pod$1 link add eth0 type veth peer name br$1 netns $ID-host
	ip -n $ID-host link set br$1 master cni0 up
	ip -n $ID-pod$1 link set lo up
	ip -n $ID-pod$1 addr add 10.22.0.1$1/24 dev eth0
	ip -n $ID-pod$1 link set eth0 up
	ip -n $ID-pod$1 route add default via 10.22.0.1
}
node_start() {
	rm -f "$T/in"
	mkfifo "$T/in"
	exec 9<> "$T/in"
	nsenter --net=/run/netns/$ID-host "$BUILD/netns/dns_node" $SERVER:53 100 < "$T/in" > "$T/out" 2> "$T/err" 9>&- &
	NODE=$!
	disown $NODE
	wait_for grep -q '^ready' "$T/out"
	wait_for interfaces_are "$1"
}
checksum_offload() { # POD 0|1 : ETHTOOL_STXCSUM of eth0
	pod "$1" python3 -c "import fcntl,socket,struct,array
on = array.array('B', struct.pack('II', 0x17, $2))
fcntl.ioctl(socket.socket(), 0x8946, struct.pack('16sP', b'eth0', on.buffer_info()[0]))"
}
helper() { pgrep -P "$NODE" portico-dns-tc; }
gone() { ! kill -0 "$1" 2> /dev/null; }
finish() {
	[ -n "$NODE" ] && kill -9 "$NODE" 2> /dev/null
	exec 9>&-
	sleep 0.1
	for ns in host pod1 pod2 pod3 pod4; do ip netns del $ID-$ns 2> /dev/null; done
	rm -rf "$T"
}
trap finish EXIT

ip netns add $ID-host
ip -n $ID-host link set lo up
ip -n $ID-host addr add $SERVER/32 dev lo
ip -n $ID-host link add cni0 type bridge
ip -n $ID-host addr add 10.22.0.1/24 dev cni0
ip -n $ID-host link set cni0 up
ip -n $ID-host link add same0 type veth peer name same1 # both ends here: not a pod's
pod_add 1
bridged_pod_add 2
node_start 2

# --- answers
expect "an address" 10.96.0.1 "$(ask 1 web.default.svc.cluster.local)"
expect "SRV" '0 100 80 svc-3.ns-3.svc.cluster.local.' "$(ask 1 -t srv _http._tcp.svc-3.ns-3.svc.cluster.local)"
expect "no such name" 'status: NXDOMAIN' "$(pod 1 dig +nocookie "@$SERVER" nothing.default.svc.cluster.local | grep -o 'status: [A-Z]*')"
expect "no such type" 'status: NOERROR' "$(pod 1 dig +nocookie -t aaaa "@$SERVER" web.default.svc.cluster.local | grep -o 'status: [A-Z]*')"
expect "user space was not asked" 0 "$(count asked)"
grows asked "a cookie is user space's" pod 1 dig "@$SERVER" web.default.svc.cluster.local
grows asked "pods' names are user space's" pod 1 dig +nocookie "@$SERVER" web.default.pod.cluster.local
grows answered "a pod behind a bridge" ask 2 web.default.svc.cluster.local
expect "and it gets the answer" 10.96.0.1 "$(ask 2 web.default.svc.cluster.local)"
checksum_offload 1 0
grows answered "without checksum offload" ask 1 web.default.svc.cluster.local
expect "and it gets the answer" 10.96.0.1 "$(ask 1 web.default.svc.cluster.local)"
checksum_offload 1 1
printf 'nameserver %s\nsearch default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n' $SERVER > "$T/resolv.conf"
glibc() { pod "$1" unshare -m sh -c 'mount --bind "$0" /etc/resolv.conf; exec getent "$@"' "$T/resolv.conf" "${@:2}"; }
asked=$(count asked)
expect "glibc, by the search list, both families" '10.96.0.1 +STREAM web.default.svc.cluster.local\|.*' "$(glibc 1 ahosts web)"
expect "and without user space" "$asked" "$(count asked)"
host nft -f - << EOT
table netdev t { chain c { type filter hook ingress device pto1 priority 0; policy drop; }; }
EOT
expect "before the host's filters" 10.96.0.1 "$(ask 1 web.default.svc.cluster.local)"
host nft delete table netdev t

# --- changes
expect "a name that is not there yet" '' "$(ask 1 new.default.svc.cluster.local)"
say "service new 10.96.0.77" > /dev/null
expect "is there at once" 10.96.0.77 "$(ask 1 new.default.svc.cluster.local)"
say "service new 10.96.0.78" > /dev/null
expect "changed at once" 10.96.0.78 "$(ask 1 new.default.svc.cluster.local)"
say "gone new" > /dev/null
expect "gone at once" 'status: NXDOMAIN' "$(pod 1 dig +nocookie "@$SERVER" new.default.svc.cluster.local | grep -o 'status: [A-Z]*')"
say pause > /dev/null
grows asked "paused: user space" ask 1 web.default.svc.cluster.local
say resume > /dev/null
grows answered "resumed" ask 1 web.default.svc.cluster.local

# --- pods come and go
pod_add 3
bridged_pod_add 4
wait_for interfaces_are 4
grows answered "a new pod" ask 3 web.default.svc.cluster.local
grows answered "a new pod behind a bridge" ask 4 web.default.svc.cluster.local
ip netns del $ID-pod3
ip netns del $ID-pod4
wait_for interfaces_are 2
ok "pods that went"

# --- ends
HELPER=$(helper)
kill -9 "$HELPER"
wait_for interfaces_are 0
grows asked "the helper died: user space answers" ask 1 web.default.svc.cluster.local
expect "and it is said" 1 "$(grep -c 'user space answers all questions' "$T/err")"
kill "$NODE"
wait_for gone "$NODE"
node_start 2
HELPER=$(helper)
kill -9 "$NODE"
wait_for gone "$HELPER"
expect "the role was killed: nothing answers" '' "$(ask 1 web.default.svc.cluster.local)"
node_start 2
HELPER=$(helper)
exec 9>&-
wait_for gone "$NODE"
expect "the role ended: its helper did before" true "$(gone "$HELPER" && echo true)"
expect "nothing answers" '' "$(ask 1 web.default.svc.cluster.local)"
node_start 2
echo stop >&9
sleep 0.5
expect "a role that hangs: answered for a moment" 10.96.0.1 "$(ask 1 web.default.svc.cluster.local)"
sleep 3
expect "and then no more" '' "$(ask 1 web.default.svc.cluster.local)"
kill -9 "$NODE"

# --- the role itself: which configurations let the kernel answer, and for which addresses
mkdir -p "$T/from" && chmod 755 "$T" "$T/from"
service() { # NAME IP PORT
	printf 'apiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: %s, labels: {k8s-app: %s}}\nspec: {clusterIP: %s, clusterIPs: [%s], ports: [{name: p, port: %s, protocol: UDP}]}\n---\n' \
		"$1" "$4" "$1" "$2" "$2" "$3"
}
{
	printf 'apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: kube-system}\n---\n'
	service web 10.96.0.1 80 default
	service kube-dns 10.96.0.99 53 kube-system
} > "$T/from/objects.yaml"
endpoint() { # IP PORT : of kube-dns
	printf 'apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: kube-dns-1, namespace: kube-system, labels: {"kubernetes.io/service-name": kube-dns}}\naddressType: IPv4\nports: [{name: p, port: %s, protocol: UDP}]\nendpoints: [{addresses: [%s], conditions: {ready: true}}]\n' \
		"$2" "$1" > "$T/from/slice.yaml"
}
metric() { host curl -s http://127.0.0.1:9153/metrics | sed -n "s/^portico_dns_kernel_answers_total{result=\"$1\"} //p"; }
role_start() { # COREFILE-TEXT
	printf '%s\n' "$1" > "$T/Corefile"
	chmod 644 "$T/Corefile"
	nsenter --net=/run/netns/$ID-host "$BUILD/portico" dns --from "$T/from" --listen $SERVER:53 --corefile "$T/Corefile" \
		--dns-admin-address 127.0.0.1:9153 --run-dir "$T/run" --data-dir "$T/data" > "$T/role" 2>&1 &
	NODE=$!
	disown $NODE
	wait_for grep -q 'dns: ready' "$T/role"
	wait_for eval "[ -n \"\$(ask 1 web.default.svc.cluster.local)\" ]"
}
role_end() {
	kill "$NODE"
	wait_for gone "$NODE"
	wait_for eval "! pgrep -P $NODE"
}
in_kernel() { # : yes or no
	local before after
	for _ in 1 2 3 4 5; do # the veths are found a moment after the role is ready
		before=$(metric answered)
		ask "${1:-1}" web.default.svc.cluster.local > /dev/null
		after=$(metric answered)
		[ "$after" -gt "$before" ] && { echo yes; return; }
		sleep 0.1
	done
	echo no
}
configuration() { # TEXT EXPECTED COREFILE
	role_start "$3"
	expect "$1" "$2" "$(in_kernel)"
	expect "... and the answer is right" 10.96.0.1 "$(ask 1 web.default.svc.cluster.local)"
	[ -n "${4:-}" ] || role_end
}
K='kubernetes cluster.local in-addr.arpa'
endpoint 10.96.0.50 53
configuration "a log of questions: user space" no ".:53 {
 log
 $K
}"
configuration "a list of who may ask: user space" no ".:53 {
 acl {
  allow net 10.244.0.0/16
  drop
 }
 $K
}"
configuration "a block for some names of the zone: user space" no ".:53 {
 $K
}
special.svc.cluster.local:53 {
 whoami
}"
configuration "a stub domain changes nothing" yes ".:53 {
 errors
 $K
 cache 30
 loadbalance
 loop
}
example.com:53 {
 whoami
}" stay
expect "the Service is somebody else's: not answered here" '' "$(pod 1 dig +short +nocookie +tries=1 +time=1 @10.96.0.99 web.default.svc.cluster.local | grep -v '^;;')"
endpoint $SERVER 53
leads_here() { [ "$(pod 1 dig +short +nocookie +tries=1 +time=1 @10.96.0.99 web.default.svc.cluster.local)" = 10.96.0.1 ]; }
wait_for leads_here
ok "the Service leads here: answered, though nothing translates its address"
nsenter --net=/run/netns/$ID-host curl -sN 'http://127.0.0.1:9153/log?follow=1' > "$T/log" &
LOG=$!
sleep 0.5
expect "while somebody follows the log: user space" no "$(in_kernel)"
kill $LOG
wait_for eval '[ "$(in_kernel)" = yes ]'
ok "and the kernel again when he is gone"
role_end
[ $failed = 0 ]
