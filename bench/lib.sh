# lib.sh - starts portico and its peer for a benchmark. Sourced by the scripts here; root.
#
# Both sides run one after the other or side by side in a network namespace of their own, so that no
# port of the machine is needed, with empty data directories on the same disk.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
BUILD=$(realpath -m "${BUILD:-$here/../build}")
NS=pbench$$
NODE_IP=192.0.2.1
PORTICO_API=$NODE_IP:6443 PEER_API=$NODE_IP:7443
PEER_PIDS=()

[ "$(id -u)" = 0 ] || { echo "needs root: network namespaces and BPF" >&2; exit 1; }
[ -x "$BUILD/portico" ] || { echo "no $BUILD/portico: make, or BUILD=DIR $0" >&2; exit 1; }
# The data plane hooks into the one cgroup tree: only one portico at a time.
if [ -z "${PORTICO_BENCH_LOCKED:-}" ]; then
	PORTICO_BENCH_LOCKED=1 exec flock --timeout 600 /tmp/portico-live.lock "$0" "$@"
fi
PEERS=$("$here/peers.sh") || exit 1
T=$(mktemp -d "${TMPDIR:-/tmp}/pbench.XXXXXX")
chmod 755 "$T" # unprivileged roles look for their folders in it
CLIENT=$T/client
RUN=/run/${T##*/} # where run directories are: in memory
gcc -std=gnu17 -D_GNU_SOURCE -O2 -pthread -o "$CLIENT" "$here"/client/*.c -lssl -lcrypto || exit 1

bench_end() {
	portico_down
	peer_down
	ip netns del $NS 2> /dev/null
	rm -rf "$T"
}
trap bench_end EXIT
trap 'exit 1' INT TERM

set -e
ip netns add $NS
ip -n $NS link set lo up
ip -n $NS link add eth0 type veth peer name eth1
ip -n $NS link set eth1 up
ip -n $NS addr add $NODE_IP/24 dev eth0
ip -n $NS link set eth0 up
ip -n $NS route add default via 192.0.2.254
set +e

# Not `ip netns exec`: that hides the BPF file system and cgroups.
in_ns() { nsenter --net=/run/netns/$NS "$@"; }

now_ns() { date +%s%N; }

# ---- portico ----

portico() { # SUBCOMMAND ARG…
	local command=$1; shift
	in_ns "$BUILD/portico" "$command" --data-dir "$T/portico" --run-dir "$RUN" --node-name bench \
		--node-ip $NODE_IP "$@"
}
portico_up() { portico up --no-kubeconfig > "$T/up.log" 2>&1 || { cat "$T/up.log" >&2; return 1; }; }
portico_down() {
	[ -d "$T/portico" ] || return 0
	portico down > "$T/down.log" 2>&1 || cat "$T/down.log" >&2
	rm -rf "$T/portico" "$RUN"
}
portico_client() { # ARG…: as its administrator
	BENCH_SERVER=$PORTICO_API BENCH_CERT=$T/portico/pki/admin.crt BENCH_KEY=$T/portico/pki/admin.key \
		in_ns "$CLIENT" "$@"
}

# ---- the peer: etcd, kube-apiserver, kube-controller-manager ----

peer_cert() { # FILE SUBJECT EXTENSION
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$2" -keyout "$1.key" -out "$1.csr"
	openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out "$1.crt" \
		-extfile <(echo "$3")
}
peer_certs() {
	mkdir -p "$T/peer-pki"
	(
		cd "$T/peer-pki" || exit
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=bench-ca -days 30 \
			-keyout ca.key -out ca.crt
		openssl ecparam -name prime256v1 -genkey -noout -out sa.key
		peer_cert server /CN=kube-apiserver "subjectAltName=IP:$NODE_IP,IP:127.0.0.1,IP:10.96.0.1"
		peer_cert admin /O=system:masters/CN=admin "extendedKeyUsage=clientAuth"
		cat > admin.kubeconfig <<-END
		{"kind": "Config", "apiVersion": "v1", "current-context": "x",
		 "clusters": [{"name": "x", "cluster": {"server": "https://$PEER_API", "certificate-authority": "$PWD/ca.crt"}}],
		 "users": [{"name": "x", "user": {"client-certificate": "$PWD/admin.crt", "client-key": "$PWD/admin.key"}}],
		 "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}]}
		END
	) 2> "$T/openssl.log" || { cat "$T/openssl.log" >&2; return 1; }
}

peer_run() { # NAME PROGRAM ARG…
	local log=$T/$1.log; shift
	nsenter --net=/run/netns/$NS "$@" > "$log" 2>&1 & # becomes the program: its pid is ours to measure and end
	PEER_PIDS+=($!)
}
# All three at once, as in a static-pod control plane.
peer_up() {
	local pki=$T/peer-pki
	[ -d "$pki" ] || peer_certs || return 1
	peer_run etcd etcd --data-dir "$T/etcd" --listen-client-urls http://127.0.0.1:7379 \
		--advertise-client-urls http://127.0.0.1:7379 --listen-peer-urls http://127.0.0.1:7380 \
		--initial-advertise-peer-urls http://127.0.0.1:7380 --initial-cluster default=http://127.0.0.1:7380
	peer_run kube-apiserver "$PEERS/kube-apiserver" --etcd-servers=http://127.0.0.1:7379 --secure-port=7443 \
		--advertise-address=$NODE_IP --tls-cert-file="$pki/server.crt" --tls-private-key-file="$pki/server.key" \
		--client-ca-file="$pki/ca.crt" --service-account-key-file="$pki/sa.key" \
		--service-account-signing-key-file="$pki/sa.key" \
		--service-account-issuer=https://kubernetes.default.svc --authorization-mode=Node,RBAC \
		--service-cluster-ip-range=10.96.0.0/12
	peer_run kube-controller-manager "$PEERS/kube-controller-manager" --kubeconfig="$pki/admin.kubeconfig" \
		--service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" --leader-elect=false \
		--use-service-account-credentials=false
}
peer_down() {
	[ ${#PEER_PIDS[@]} = 0 ] && return
	kill -KILL "${PEER_PIDS[@]}" 2> /dev/null # its data goes too, and its graceful end takes 20 s
	wait "${PEER_PIDS[@]}" 2> /dev/null
	PEER_PIDS=()
	rm -rf "$T/etcd"
}
peer_client() {
	BENCH_SERVER=$PEER_API BENCH_CERT=$T/peer-pki/admin.crt BENCH_KEY=$T/peer-pki/admin.key in_ns "$CLIENT" "$@"
}
# The certificates of both sides exist before this is asked.
wait_ready() { # SIDE
	BENCH_PATH=/readyz "$1_client" poll 60 0 ok > /dev/null
	BENCH_PATH=/api/v1/namespaces/default/serviceaccounts/default "$1_client" poll 60 0 > /dev/null
}

machine() {
	printf '%s, %s cores, kernel %s, load %s\n' "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)" \
		"$(nproc)" "$(uname -r)" "$(cut -d' ' -f1 /proc/loadavg)"
	printf 'portico %s; kube-apiserver %s, etcd %s\n' "$(git -C "$here" describe --always 2> /dev/null)" \
		"$(basename "$PEERS" | sed 's/kubernetes-//')" "$(etcd --version | sed -n 's/etcd Version: //p')"
}
