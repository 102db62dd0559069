#!/bin/bash
# dns_differential.sh BUILD-DIR - the DNS role's answers against CoreDNS', question by question. (root)
#
# With COREDNS=/path/to/coredns both run against the same API server, and both are asked; without it, what CoreDNS said
# is in dns_expected.txt. RECORD=1 writes that file anew. Prints TAP.
here=$(dirname "$(realpath "$0")")
. "$here/stack.sh"
stack_isolate "$@"
kubectl=$(ls /usr/lib/google-cloud-sdk/bin/kubectl.1.* 2>/dev/null | sort -V | tail -1)
: "${kubectl:=$(command -v kubectl)}"
stack_up "$(realpath "${1:?usage: dns_differential.sh BUILD-DIR}")" apiserver

corefile() { # OFFSET KUBECONFIG-LINE
	cat <<C
.:$((5300 + $1)) {
	kubernetes cluster.local in-addr.arpa ip6.arpa {
		$2
		pods insecure
		ttl 30
		fallthrough in-addr.arpa ip6.arpa
	}
	forward . 127.0.0.1:5399
}
.:$((5310 + $1)) {
	kubernetes cluster.local in-addr.arpa ip6.arpa {
		$2
		pods verified
		endpoint_pod_names
		ignore empty_service
	}
	forward . 127.0.0.1:5399
}
.:$((5320 + $1)) {
	kubernetes cluster.local in-addr.arpa {
		$2
		namespaces empty
		noendpoints
		fallthrough
	}
	forward . 127.0.0.1:5399
}
.:$((5330 + $1)) {
	kubernetes cluster.local {
		$2
		labels app=dns
		namespace_labels shown in (yes, perhaps)
		ttl 0
	}
}
C
}

corefile 1 "" > "$work/Corefile.portico"
corefile 2 "kubeconfig $work/admin.kubeconfig" > "$work/Corefile.coredns"
"$kubectl" apply -f "$here/dns_objects.yaml" > "$work/apply.log" 2>&1 || { echo "Bail out! objects are refused"; cat "$work/apply.log"; exit 1; }
"$kubectl" -n shop patch pod web-a --subresource status -p \
	'{"status":{"phase":"Running","podIP":"10.244.1.1","podIPs":[{"ip":"10.244.1.1"}]}}' >> "$work/apply.log" 2>&1 || cat "$work/apply.log"
"$portico" dns --config "$work/portico.json" --corefile "$work/Corefile.portico" --kubeconfig "$work/admin.kubeconfig" \
	--dns-admin-address "" >> "$work/dns.log" 2>&1 &
role_pids[dns]=$!
if [ -n "${COREDNS:-}" ]; then
	"$COREDNS" -conf "$work/Corefile.coredns" > "$work/coredns.log" 2>&1 &
	role_pids[coredns]=$!
fi
wait_for 10 role_ready dns || { echo "Bail out! dns does not start"; cat "$work/dns.log"; exit 1; }
EXPECTED=$here/dns_expected.txt python3 -B "$here/dns_differential.py"
result=$?
# Without the API server the answers stay what they are.
kill "${role_pids[apiserver]}" && wait "${role_pids[apiserver]}" 2>/dev/null
unset "role_pids[apiserver]"
EXPECTED=$here/dns_expected.txt COREDNS='' python3 -B "$here/dns_differential.py" || result=1
[ $result = 0 ] || tail -n 5 "$work"/*dns.log
stack_alive || result=1
exit $result
