# stack.sh - some roles of portico, started by hand in a network namespace of their own. Sourced.
#
# No supervisor, no node, no containers: what answers is the role itself. The namespace has loopback and one
# address, so every port is free and nothing else on the machine is touched. Root.
#
#   stack_isolate "$@"                 first of all: runs the script again inside
#   stack_up BUILD-DIR ROLE…           certificates, settings, then each role, waiting until it is ready
#   stack_alive                        every role is still the process that was started
# It sets $work, $node_ip and $KUBECONFIG (the administrator's).

node_ip=10.99.0.1
declare -A role_pids=()

stack_isolate() {
	[ -z "${STACK_INSIDE:-}" ] || { unset STACK_INSIDE; return 0; }
	STACK_INSIDE=1 exec unshare --net -- bash "$0" "$@"
}

key_pair() { # NAME SUBJECT EXTENSIONS
	local pki=$work/data/pki
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$2" -keyout "$pki/$1.key" -out "$work/csr" 2>/dev/null &&
	openssl x509 -req -in "$work/csr" -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial -days 2 -out "$pki/$1.crt" \
		-extfile <(printf '%s\n' "$3") 2>/dev/null
}

kubeconfig() { # FILE NAME
	local pki=$work/data/pki
	cat > "$1" <<Y
apiVersion: v1
kind: Config
current-context: portico
clusters: [{name: portico, cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: $(base64 -w0 "$pki/ca.crt")}}]
users: [{name: portico, user: {client-certificate-data: $(base64 -w0 "$pki/$2.crt"), client-key-data: $(base64 -w0 "$pki/$2.key")}}]
contexts: [{name: portico, context: {cluster: portico, user: portico}}]
Y
}

stack_pki() { # ROLE…
	local pki=$work/data/pki role client=extendedKeyUsage=clientAuth
	mkdir -p "$pki"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=portico-ca -keyout "$pki/ca.key" -out "$pki/ca.crt" 2>/dev/null
	key_pair apiserver /CN=kube-apiserver "extendedKeyUsage=serverAuth
subjectAltName=DNS:localhost,DNS:kubernetes,IP:127.0.0.1,IP:$node_ip,IP:10.96.0.1"
	key_pair apiserver-kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client $client
	key_pair admin /O=system:masters/CN=kubernetes-admin $client
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$pki/sa.key" 2>/dev/null
	kubeconfig "$work/admin.kubeconfig" admin
	for role; do
		[ "$role" != apiserver ] || continue
		key_pair "$role" "/CN=system:portico:$role" $client
		kubeconfig "$work/run/$role.kubeconfig" "$role"
	done
	# The roles give up root and read their own; the folder is this test's alone.
	chmod -R a+rX "$work"
}

role_start() { # ROLE
	"$portico" "$1" --config "$work/portico.json" >> "$work/$1.log" 2>&1 &
	role_pids[$1]=$!
}

role_ready() { grep -q ' ready$' "$work/$1.log"; }

wait_for() { # SECONDS COMMAND…
	local end=$(($(date +%s%3N) + $1 * 1000)); shift
	until "$@"; do
		[ "$(date +%s%3N)" -lt "$end" ] || return 1
		sleep 0.02
	done
}

stack_up() { # BUILD-DIR ROLE…
	local role; portico=$1/portico; shift
	work=$(mktemp -d /tmp/portico-func.XXXXXX)
	trap stack_down EXIT
	chmod 755 "$work"
	mkdir -p "$work/data/apiserver" "$work/run" "$work/home"
	ip link set lo up && ip addr add $node_ip/32 dev lo || return 1
	stack_pki "$@"
	chmod 777 "$work/data/apiserver"
	cat > "$work/portico.json" <<J
{"data-dir": "$work/data", "run-dir": "$work/run", "node-ip": "$node_ip", "node-name": "func", "api-address": "0.0.0.0:6443",
 "http-address": "0.0.0.0:8080", "https-address": "0.0.0.0:8443"}
J
	export KUBECONFIG=$work/admin.kubeconfig HOME=$work/home
	for role; do
		role_start "$role"
		wait_for 10 role_ready "$role" || { echo "Bail out! $role does not start"; cat "$work/$role.log"; exit 1; }
	done
}

stack_alive() {
	local role bad=0
	for role in "${!role_pids[@]}"; do
		kill -0 "${role_pids[$role]}" 2>/dev/null || { echo "$role has died:"; tail -20 "$work/$role.log"; bad=1; }
	done
	return $bad
}

stack_down() {
	local pid
	for pid in "${role_pids[@]}"; do kill "$pid" 2>/dev/null; done
	wait "${role_pids[@]}" 2>/dev/null
	[ -n "${KEEP:-}" ] || rm -rf "$work"
}
