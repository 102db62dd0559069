#!/bin/bash
# Node-local DNS on a node made of namespaces: who answers, as whom, with which resolvers, while instances come, stop and die.
# Root; unbound, dig; musl-gcc for one row. About 15 s.
cd "$(dirname "$0")/../.." || exit 1
. tests/netns/lib.sh
[ "$(id -u)" = 0 ] || { echo "skipped: needs root"; exit 0; }
command -v unbound >/dev/null && command -v dig >/dev/null || { echo "skipped: needs unbound and dig"; exit 0; }
trap node_remove EXIT
peer=$(realpath "$BUILD/netns/peer")
LOCAL=169.254.20.10
VIP=10.96.0.10
CENTRAL=10.244.0.13

# Every instance has one name of its own to give; its address tells which it is.
dns_start() { # NAME NS ADDRESS ANSWER
	cat > "$T/unbound-$1.conf" <<U
server:
  interface: $3
  port: 53
  do-daemonize: no
  chroot: ""
  username: ""
  directory: "$T"
  pidfile: ""
  use-syslog: no
  logfile: ""
  access-control: 0.0.0.0/0 allow
  num-threads: 1
  so-reuseport: yes
  ip-freebind: yes
  module-config: "iterator"
  local-zone: "." static
  local-data: "who.example. 5 A $4"
U
	start "$2" "$T/$1.log" unbound -d -c "$T/unbound-$1.conf"
	eval "PID_$1=$STARTED"
	wait_line "$T/$1.log" "start of service"
}
# The mode's own view of cgroups has the test's as its root: nobody else on the machine is touched.
run_start() {
	start host "$T/run.log" unshare -C -m sh -c 'umount -l -a -t cgroup2; mount -t cgroup2 none "$0" && exec "$@"' "$CG_ROOT" \
		"$BUILD/netns/nodelocal_run" --node-local $LOCAL --run-dir "$T/run" --from "$T/manifests"
	RUN=$STARTED
	wait_line "$T/run.log" '^ready$'
	wait_line "$T/run.log" 'reach this instance'
}
tell() { # SIGNAL LINE
	local n
	n=$(grep -c "^$2\$" "$T/run.log")
	kill -"$1" "$RUN"
	wait_line "$T/run.log" "^$2\$" $((n + 1))
}
gone() { # PID
	local i
	for i in $(seq 500); do kill -0 "$1" 2>/dev/null || return 0; sleep 0.01; done
	return 1
}
address() { ip -n $ID-host -br addr show dev lo | grep -o "$LOCAL/32"; }
table() { in_ns host nft list tables 2>/dev/null | grep -o portico_dns; }
nothing_left() { local i; for i in $(seq 300); do [ -z "$(address)$(table)" ] && return 0; sleep 0.01; done; return 1; }

# A pod as its programs see it: its own resolv.conf.
printf 'nameserver %s\noptions timeout:1 attempts:2\n' $VIP > "$T/resolv.conf"
in_pod() { local n=$1; shift; in_ns pod$n unshare -m sh -c 'mount --bind "$0" /etc/resolv.conf && exec "$@"' "$T/resolv.conf" "$@"; }
dig_at() { in_ns "$1" dig +short +time=1 +tries=2 "${@:2}" who.example 2>&1; }
glibc() { in_pod 1 getent ahostsv4 who.example | sed -n 's/ .*STREAM.*//p'; }

node_make
# What kube-proxy would do; and a rule that wants conntrack, so that the kernel tracks.
in_ns host nft -f - <<N
table ip proxy {
 chain pre { type nat hook prerouting priority -100; ip daddr $VIP udp dport 53 dnat to $CENTRAL:53; ip daddr $VIP tcp dport 53 dnat to $CENTRAL:53; }
 chain out { type nat hook output priority -100; ip daddr $VIP udp dport 53 dnat to $CENTRAL:53; ip daddr $VIP tcp dport 53 dnat to $CENTRAL:53; }
 chain through { type filter hook forward priority 0; ct state invalid drop; }
}
N
mkdir "$T/manifests" "$T/run"
cat > "$T/manifests/dns.yaml" <<Y
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec: {clusterIP: $VIP, ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns-1, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns, k8s-app: kube-dns}}
addressType: IPv4
ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
endpoints: [{addresses: [$CENTRAL], conditions: {ready: true}}]
Y
dns_start central pod3 $CENTRAL 10.0.0.3
dns_start local host $LOCAL 10.0.0.1
expect "without it: the central instance" 10.0.0.3 "$(dig_at pod1 @$VIP)"

run_start
expect "the address is on lo, with host scope" "$LOCAL/32 scope host" \
	"$(ip -n $ID-host -o addr show dev lo | grep -o "$LOCAL/32 scope host")"
expect "nothing is translated before it serves" 10.0.0.3 "$(dig_at pod1 @$VIP)"
tell USR1 serving
expect "dig, UDP, from a pod" 10.0.0.1 "$(dig_at pod1 @$VIP)"
expect "dig, TCP" 10.0.0.1 "$(dig_at pod1 +tcp @$VIP)"
expect "dig, from the host" 10.0.0.1 "$(dig_at host @$VIP)"
expect "the address by its own name" 10.0.0.1 "$(dig_at pod2 @$LOCAL)"
expect "the central instance by its own name" 10.0.0.3 "$(dig_at pod1 @$CENTRAL)"
expect "dig sees the address it asked" "$VIP#53" "$(in_ns pod1 dig +time=1 @$VIP who.example | sed -n 's/.*SERVER: \([0-9.]*#53\).*/\1/p')"
expect "glibc" 10.0.0.1 "$(glibc)"
if command -v musl-gcc >/dev/null && musl-gcc -static -O2 -o "$T/resolve" tests/netns/resolve.c; then
	expect "musl, which compares the source of answers" 10.0.0.1 "$(in_pod 1 "$T/resolve" who.example)"
else
	echo "skip musl: no musl-gcc"
fi
expect "python: an unconnected IPv6 socket with a mapped address" "10.0.0.1 ::ffff:$VIP" "$(in_ns pod1 python3 -c "
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.settimeout(2)
s.sendto(bytes.fromhex('123401000001000000000000') + b'\3who\7example\0\0\1\0\1', ('::ffff:$VIP', 53))
d, a = s.recvfrom(512); print('.'.join(map(str, d[-4:])), a[0])")"
expect "python: getpeername of connected sockets, both versions" "$VIP ::ffff:$VIP" "$(in_ns pod1 python3 -c "
import socket
a = socket.create_connection(('$VIP', 53), 2)
b = socket.socket(socket.AF_INET6, socket.SOCK_STREAM); b.connect(('::ffff:$VIP', 53))
print(a.getpeername()[0], b.getpeername()[0])")"
expect "python: one socket that asks the Service, then the address itself, sees each" "$VIP $LOCAL" "$(in_ns pod1 python3 -c "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2)
q = bytes.fromhex('123401000001000000000000') + b'\3who\7example\0\0\1\0\1'
r = []
for ip in ('$VIP', '$LOCAL'):
    s.sendto(q, (ip, 53)); r.append(s.recvfrom(512)[1][0])
print(*r)")"
if [ -r /proc/net/nf_conntrack ] && [ -n "$(table)" ]; then
	expect "conntrack has seen questions to the central instance" yes "$(in_ns host grep -q "dst=$VIP" /proc/net/nf_conntrack && echo yes)"
	expect "conntrack has seen none to the local one" 0 "$(in_ns host grep -c "$LOCAL" /proc/net/nf_conntrack)"
else
	echo "skip conntrack: no /proc/net/nf_conntrack, or no nft"
fi
in_ns host sysctl -qw net.ipv4.conf.all.rp_filter=1
for n in 1 2; do in_ns host sysctl -qw net.ipv4.conf.pto$n.rp_filter=1; done
expect "with strict reverse-path filters" 10.0.0.1 "$(dig_at pod1 @$VIP)"

kill -STOP "$PID_central"
expect "the central instance stands still: the local one answers" 10.0.0.1 "$(glibc)"
kill -CONT "$PID_central"

# Asked every 50 ms while things happen: only addresses may be seen, and no error.
start pod2 "$T/loop" unshare -m sh -c 'mount --bind "$0" /etc/resolv.conf && exec "$@"' "$T/resolv.conf" "${RESOLVE:-$BUILD/netns/resolve}" who.example loop
LOOP=$STARTED
wait_line "$T/loop" '^10.0.0.1$'
tell USR2 silent
wait_line "$T/loop" '^10.0.0.3$'
expect "it serves no longer: the central instance" 10.0.0.3 "$(dig_at pod1 @$VIP)"
tell USR1 serving
wait_line "$T/loop" '^10.0.0.1$' 2
kill -STOP "$RUN"
wait_line "$T/loop" '^10.0.0.3$' 2
ok "it stands still: passed over within seconds"
kill -CONT "$RUN"
wait_line "$T/loop" '^10.0.0.1$' 3
kill -KILL "$RUN"
wait_line "$T/loop" '^10.0.0.3$' 3
gone "$RUN"
expect "it was killed: the central instance" 10.0.0.3 "$(dig_at pod1 @$VIP)"
if nothing_left; then ok "killed: address and rules are gone"; else bad "killed: address and rules are gone" "$(address) $(table)"; fi
run_start # at once, while the guard of the one before may still clean up
tell USR1 serving
expect "a new one takes over" 10.0.0.1 "$(dig_at pod1 @$VIP)"
expect "and the address stays" "$LOCAL/32" "$(sleep 0.3; address)"
err=$(in_ns host unshare -C -m sh -c 'umount -l -a -t cgroup2; mount -t cgroup2 none "$0" && exec "$@"' "$CG_ROOT" \
	"$BUILD/netns/nodelocal_run" --node-local $LOCAL --run-dir "$T/run" --from "$T/manifests" 2>&1)
expect "a second one is told" "nodelocal_run: --node-local $LOCAL: another instance answers on $LOCAL .*" "$err"
# As at `portico restart dns`: the address and the rules are both processes' for a while.
before=$RUN rules=$(table)
PORTICO_REPLACES=1 run_start
tell USR1 serving
kill -TERM "$before"; gone "$before"
sleep 0.3 # its guard ends after it
expect "one replaced another: it answers" 10.0.0.1 "$(dig_at pod1 @$VIP)"
expect "and address and rules stay" "$LOCAL/32 $rules" "$(address) $(table)"
expect "what resolvers saw meanwhile" "(10\.0\.0\.[13]\|?)+" "$(cat "$T/loop")"

# Our own Service data plane translates first, by order of attachment.
kill -TERM "$RUN"; gone "$RUN"
if nothing_left; then ok "ended: address and rules are gone"; else bad "ended: address and rules are gone" "$(address) $(table)"; fi
in_ns host nft delete table ip proxy
service dns $VIP '[{"name":"dns","port":53,"protocol":"UDP"},{"name":"dns-tcp","port":53,"protocol":"TCP"}]'
slice dns '[{"name":"dns","port":53,"protocol":"UDP"},{"name":"dns-tcp","port":53,"protocol":"TCP"}]' $CENTRAL
load_start
expect "with the data plane alone: the central instance" 10.0.0.3 "$(dig_at pod1 @$VIP)"
run_start
tell USR1 serving
expect "beside the data plane: UDP" 10.0.0.1 "$(dig_at pod1 @$VIP)"
expect "beside the data plane: TCP" 10.0.0.1 "$(dig_at pod1 +tcp @$VIP)"
expect "beside the data plane: the host" 10.0.0.1 "$(dig_at host @$VIP)"
[ ! -x "$T/resolve" ] || expect "beside the data plane: musl" 10.0.0.1 "$(in_pod 1 "$T/resolve" who.example)"
# Kernels before 6.17 cannot put programs in front: then the endpoints lead to the local instance as well.
central=10.0.0.3
grep -q 'other socket programs come first' "$T/run.log" && central=10.0.0.1
expect "beside the data plane: the central instance by its own name" $central "$(dig_at pod1 @$CENTRAL)"
kill -KILL "$RUN"; gone "$RUN"
expect "beside the data plane: killed" 10.0.0.3 "$(dig_at pod1 @$VIP)"
nothing_left || bad "the address" "$(address)"

# The role itself, from manifests: it answers, ends, is killed, and comes again.
kill "$LOOP"
kill "$PID_local"; gone "$PID_local"
chmod -R a+rX "$T"
NAME=who.default.svc.cluster.local
cat > "$T/manifests/who.yaml" <<Y
apiVersion: v1
kind: Namespace
metadata: {name: default}
---
apiVersion: v1
kind: Service
metadata: {name: who, namespace: default}
spec: {clusterIP: 10.0.0.1, ports: [{port: 80}]}
Y
kill "$PID_central"; gone "$PID_central"
sed -i "\$a\  local-data: \"$NAME. 5 A 10.0.0.3\"" "$T/unbound-central.conf"
start pod3 "$T/central.log" unbound -d -c "$T/unbound-central.conf"
PID_central=$STARTED
wait_line "$T/central.log" "start of service"
role_start() {
	start host "$T/role.log" unshare -C -m sh -c 'umount -l -a -t cgroup2; mount -t cgroup2 none "$0" && exec "$@"' "$CG_ROOT" \
		"$BUILD/portico" dns --node-local $LOCAL --run-dir "$T/run" --data-dir "$T/data" --from "$T/manifests" --workers 1 \
		--dns-admin-address 127.0.0.1:9153
	ROLE=$STARTED
	wait_line "$T/role.log" ' ready$'
	wait_line "$T/role.log" 'reach this instance'
}
asked() { in_ns "$1" dig +short +time=1 +tries=2 "${@:2}" $NAME 2>&1; }
expect "the role: not there yet" 10.0.0.3 "$(asked pod1 @$VIP)"
role_start
expect "the role: UDP" 10.0.0.1 "$(asked pod1 @$VIP)"
expect "the role: TCP" 10.0.0.1 "$(asked pod1 +tcp @$VIP)"
expect "the role: from the host" 10.0.0.1 "$(asked host @$VIP)"
expect "the role: its process is nobody special" 'Uid: [1-9][0-9]* .*' "$(grep Uid: /proc/$ROLE/status | tr -s '\t' ' ')"
if grep -q 'kernel answers no questions' "$T/role.log"; then
	echo "skip kernel answers: $(grep -o 'kernel answers no.*' "$T/role.log")"
else
	for i in $(seq 50); do # its programs come to the pods' interfaces a moment later
		asked pod1 +nocookie @$VIP > "$T/asked"
		answered=$(in_ns host curl -s http://127.0.0.1:9153/metrics | sed -n 's/^portico_dns_kernel_answers_total{result="answered"} //p')
		[ "${answered:-0}" = 0 ] || break
	done
	expect "the role: the kernel answers what sockets of pods are led to" '10.0.0.1 [1-9][0-9]*' "$(cat "$T/asked") $answered"
fi
kill -STOP "$PID_central"
expect "the role: the central instance stands still" 10.0.0.1 "$(asked pod1 @$VIP)"
kill -CONT "$PID_central"
start pod2 "$T/loop2" unshare -m sh -c 'mount --bind "$0" /etc/resolv.conf && exec "$@"' "$T/resolv.conf" "$BUILD/netns/resolve" $NAME. loop
wait_line "$T/loop2" '^10.0.0.1$'
kill -KILL "$ROLE"; gone "$ROLE"
wait_line "$T/loop2" '^10.0.0.3$'
role_start
wait_line "$T/loop2" '^10.0.0.1$' 2
kill -TERM "$ROLE"
wait_line "$T/loop2" '^10.0.0.3$' 2
gone "$ROLE" && ok "the role: ends"
if nothing_left; then ok "the role: address and rules are gone"; else bad "the role: address and rules are gone" "$(address) $(table)"; fi
expect "the role: what resolvers saw meanwhile" "(10\.0\.0\.[13]\|?)+" "$(cat "$T/loop2")"

[ $failed = 0 ] && echo "node-local DNS: all passed" || echo "node-local DNS: $failed failed"
exit $failed
