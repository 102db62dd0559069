#!/bin/bash
# Cold start with an empty data directory, against etcd + kube-apiserver + kube-controller-manager:
# until /readyz answers ok, until the first ServiceAccount exists, and (portico only) until a pod answers
# through its Ingress. Milliseconds from the start of the first process. Root; RUNS=5.
#
#   bench/coldstart.sh
. "$(dirname "$0")/lib.sh"
RUNS=${RUNS:-5}
SA=/api/v1/namespaces/default/serviceaccounts/default

poll_ready() { # ADDRESS SINCE: anonymous, as the certificates of an empty data directory are not there yet
	BENCH_SERVER=$1 BENCH_PATH=/readyz in_ns "$CLIENT" poll 60 "$2" ok
}

# A Deployment of one pod, its Service and its Ingress; `image` is in the image store by then.
manifests() {
	cat > "$T/deployment.json" <<-END
	{"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "web"}, "spec": {"replicas": 1,
	 "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}},
	 "spec": {"terminationGracePeriodSeconds": 0,
	 "containers": [{"name": "web", "image": "my-app:1.0.0", "ports": [{"containerPort": 8080}]}]}}}}
	END
	cat > "$T/service.json" <<-END
	{"kind": "Service", "apiVersion": "v1", "metadata": {"name": "web"}, "spec": {"selector": {"app": "web"},
	 "ports": [{"port": 80, "targetPort": 8080}]}}
	END
	cat > "$T/ingress.json" <<-END
	{"kind": "Ingress", "apiVersion": "networking.k8s.io/v1", "metadata": {"name": "web"}, "spec": {"rules": [
	 {"host": "bench.example", "http": {"paths": [{"path": "/", "pathType": "Prefix",
	 "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]}}
	END
}
create() { portico_client post "/$1" "$T/$2.json" > /dev/null; }

one_portico() {
	local since up_pid
	since=$(now_ns)
	portico_up & up_pid=$!
	echo "readyz portico $(poll_ready $PORTICO_API "$since")"
	[ -d "$RUN" ] || exit 1
	echo "account portico $(BENCH_PATH=$SA portico_client poll 60 "$since")"
	create apis/apps/v1/namespaces/default/deployments deployment
	create api/v1/namespaces/default/services service
	create apis/networking.k8s.io/v1/namespaces/default/ingresses ingress
	# The image goes in as soon as there is a store; the pod waits for it meanwhile.
	until [ -S "$RUN/containerd/containerd.sock" ]; do sleep 0.005; done
	portico image load "$BUILD/images/my-app-1.0.0.tar" > "$T/load.log" || cat "$T/load.log" >&2
	echo "answer portico $(BENCH_SERVER=$NODE_IP:80 BENCH_HOST=bench.example BENCH_PATH=/ in_ns "$CLIENT" poll 60 "$since")"
	wait $up_pid && portico status -o json > "$T/status.json"
	echo "all_roles portico $(sed -n 's/^  .* ready after \([0-9]*\)\.\([0-9]*\) s$/\1\2/p' "$T/up.log" | sort -n | tail -1)"
	portico_down
}
one_peer() {
	local since
	since=$(now_ns)
	peer_up
	echo "readyz peer $(poll_ready $PEER_API "$since")"
	echo "account peer $(BENCH_PATH=$SA peer_client poll 60 "$since")"
	peer_down
}

machine
peer_certs
manifests
for _ in $(seq "$RUNS"); do
	one_portico
	one_peer
done > "$T/all"

awk '
	$3 != "" { n[$1, $2]++; v[$1, $2, n[$1, $2]] = $3 }
	function quantiles(what, side,   i, j, t, k) {
		k = n[what, side]
		for (i = 1; i <= k; i++)
			for (j = i + 1; j <= k; j++)
				if (v[what, side, j] + 0 < v[what, side, i] + 0) {
					t = v[what, side, i]; v[what, side, i] = v[what, side, j]; v[what, side, j] = t
				}
		median = v[what, side, int((k + 1) / 2)]
		return k ? sprintf("%6.0f %6.0f %6.0f", v[what, side, 1], median, v[what, side, k]) : "     -      -      -"
	}
	function row(title, what,   p, q, mine) {
		p = quantiles(what, "portico"); mine = median
		q = quantiles(what, "peer")
		printf "%-36s %s   %s   %s\n", title, p, q, n[what, "peer"] ? sprintf("%.1f x", median / mine) : "-"
	}
	END {
		printf "%-36s %20s   %20s   %s\n", "", "portico min/med/max", "peer min/med/max", "peer/portico"
		row("readyz, ms", "readyz")
		row("default ServiceAccount, ms", "account")
		row("all of portico'"'"'s roles ready, ms", "all_roles")
		row("a pod answers through its Ingress, ms", "answer")
	}' "$T/all"
echo "The peer has no ingress and no node agent: it is not asked for the last two."
