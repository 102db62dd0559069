#!/bin/bash
# ingress_replicas.sh - several ingress proxies of one class: who writes ADDRESS, and what, while they come and go.
#
#   tests/func/ingress_replicas.sh BUILD-DIR [KUBECTL]         (root)
#
# Each has an address of its own, as on several machines. Prints TAP and "N passed, N failed".
here=$(dirname "$(realpath "$0")")
. "$here/../e2e/lib.sh"
. "$here/stack.sh"
stack_isolate "$@"
kubectl=${2:-$(ls /usr/lib/google-cloud-sdk/bin/kubectl.1.* /usr/bin/kubectl 2>/dev/null | tail -1)}
[ -x "$kubectl" ] || { echo "Bail out! no kubectl is installed"; exit 1; }
stack_up "$1" apiserver ingress

k() { timeout 20 "$kubectl" "$@"; }
status() { k get ingress a -o jsonpath='{range .status.loadBalancer.ingress[*]}{.ip}{.hostname}{" "}{end}'; }
status_is() { [ "$(status)" = "$1" ]; }
version() { k get ingress a -o jsonpath='{.metadata.resourceVersion}'; }

replica() { # NUMBER [SETTINGS]: one more, at 10.99.0.NUMBER
	mkdir -p "$work/run$1"
	cp "$work"/run/*.kubeconfig "$work/run$1"
	cat > "$work/replica$1.json" <<J
{"data-dir": "$work/data$1", "run-dir": "$work/run$1", "node-ip": "10.99.0.$1", "node-name": "func$1", "api-address": "0.0.0.0:6443",
 "http-address": "0.0.0.0:900$1", "https-address": "0.0.0.0:910$1", "ingress-admin-address": "127.0.0.1:1025$((4 + $1))"${2:+, $2}}
J
	chmod -R a+rX "$work"
	"$portico" ingress --config "$work/replica$1.json" > "$work/replica$1.log" 2>&1 &
	role_pids[replica$1]=$!
	ok "replica $1 starts" wait_for 10 grep -q ' ready$' "$work/replica$1.log"
}
leave() { # ROLE [SIGNAL]
	kill "-${2:-TERM}" "${role_pids[$1]}"
	wait "${role_pids[$1]}" 2>/dev/null
	unset "role_pids[$1]"
}
ingress_of() { # CLASS
	cat <<Y
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: a}
spec:
  ingressClassName: $1
  rules: [{host: a.test, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]
Y
}

soon 10 "the class" k get ingressclass nginx
k create ns ingress-nginx >/dev/null 2>&1
ok "an Ingress" k apply -f - < <(ingress_of nginx)
soon 5 "one replica: its address" status_is "10.99.0.1 "
soon 10 "it has a Lease" sh -c "'$kubectl' get leases -n ingress-nginx -o name | grep -q portico-ingress-"

replica 2
soon 10 "two: both addresses" status_is "10.99.0.1 10.99.0.2 "
before=$(version)
sleep 3 # what must not happen is given the time for it
is "nobody writes on" "$before" version
replica 3
soon 10 "three: all addresses" status_is "10.99.0.1 10.99.0.2 10.99.0.3 "

k annotate ingress a nginx.ingress.kubernetes.io/proxy-body-size=bogus >/dev/null
events() { k get events --field-selector involvedObject.name=a -o jsonpath='{range .items[*]}{.reason} {.count}{"\n"}{end}' |
	awk '{ n[$1] += $2 } END { print "Sync", n["Sync"], "AnnotationParsingFailed", n["AnnotationParsingFailed"] }'; }
soon 5 "an event about it" sh -c "'$kubectl' get events | grep -q AnnotationParsingFailed"
sleep 1
is "each event is written once" "Sync 2 AnnotationParsingFailed 1" events

leave replica2
soon 5 "one goes: its address goes, too" status_is "10.99.0.1 10.99.0.3 "
leave ingress
soon 5 "the first one goes" status_is "10.99.0.3 "
leave replica3 KILL
replica 3
sleep 1
is "a crashed one comes back: the address stays" "10.99.0.3 " status
leave replica3
soon 5 "the last one goes: no address" status_is ""
is "no Lease is left" "" k get leases -n ingress-nginx -o name

ok "a Service to publish" k create service loadbalancer front -n ingress-nginx --tcp=80
replica 4 '"publish-service": "ingress-nginx/front"'
sleep 1
is "no address yet" "" status
k patch service front -n ingress-nginx --subresource=status --type=merge -p '{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.7"},{"hostname":"lb.example"}]}}}' >/dev/null
soon 5 "the Service's addresses" status_is "192.0.2.7 lb.example "
k patch service front -n ingress-nginx --subresource=status --type=merge -p '{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.8"}]}}}' >/dev/null
soon 5 "… when they change" status_is "192.0.2.8 "
k patch ingress a --subresource=status --type=merge -p '{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.99"}]}}}' >/dev/null
soon 15 "what somebody else wrote is put right" status_is "192.0.2.8 "
leave replica4
k delete clusterrole system:portico:ingress >/dev/null
cat <<'Y' | k apply -f - >/dev/null
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: system:portico:ingress}
rules:
- {apiGroups: [""], resources: [configmaps, services, secrets], verbs: [get, list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [get, list, watch]}
- {apiGroups: [networking.k8s.io], resources: [ingresses, ingressclasses], verbs: [get, list, watch]}
- {apiGroups: [networking.k8s.io], resources: [ingresses/status], verbs: [patch]}
- {apiGroups: ["", events.k8s.io], resources: [events], verbs: [create, patch, update]}
Y
replica 5
soon 10 "without the right to read Leases: its own address" status_is "10.99.0.5 "
has "… which its log tells" 'Leases of ingress-nginx cannot be read' cat "$work/replica5.log"
ok "every role is the process it was" stack_alive
summary
