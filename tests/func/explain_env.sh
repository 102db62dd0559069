#!/bin/bash
# explain_env.sh BUILD-DIR - `portico explain env` against the API server and the controllers. (root) Prints TAP.
here=$(dirname "$(realpath "$0")")
. "$here/stack.sh"
stack_isolate "$@"
kubectl=$(ls /usr/lib/google-cloud-sdk/bin/kubectl.1.* 2>/dev/null | sort -V | tail -1)
: "${kubectl:=$(command -v kubectl)}"
stack_up "$(realpath "${1:?usage: explain_env.sh BUILD-DIR}")" apiserver controllers
n=0 failed=0

has() { # NAME REGEX: a line of $out
	n=$((n + 1))
	if grep -qE -- "$2" <<<"$out"; then echo "ok $n - $1"; else echo "not ok $n - $1: no line matches '$2'"; failed=1; fi
}
lacks() {
	n=$((n + 1))
	if grep -qE -- "$2" <<<"$out"; then echo "not ok $n - $1: a line matches '$2'"; failed=1; else echo "ok $n - $1"; fi
}
explain() { out=$(timeout 20 "$portico" explain env "$@" 2>&1); rc=$?; }

"$kubectl" create namespace shop >/dev/null
wait_for 10 "$kubectl" -n shop get serviceaccount default >/dev/null 2>&1
"$kubectl" -n shop apply -f - >/dev/null <<'Y'
apiVersion: v1
kind: Service
metadata: {name: my-db}
spec: {clusterIP: 10.96.3.5, ports: [{name: pg-sql, port: 5432}, {name: m, port: 9000, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: peers}
spec: {clusterIP: None, ports: [{port: 1}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {LOG: info, MY_DB_PORT: "1"}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
stringData: {p: geheim}
---
apiVersion: v1
kind: Pod
metadata: {name: shop}
spec:
  containers:
  - name: web
    image: x
    envFrom: [{configMapRef: {name: settings}}]
    env:
    - {name: LOG, value: debug}
    - {name: PASSWORD, valueFrom: {secretKeyRef: {name: s, key: p}}}
    - {name: URL, value: "pg://u:$(PASSWORD)@$(MY_DB_SERVICE_HOST):$(MY_DB_SERVICE_PORT)"}
    - {name: NS, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
    - {name: BAD, valueFrom: {secretKeyRef: {name: nope, key: p}}}
  - {name: side, image: "y"}
---
apiVersion: v1
kind: Pod
metadata: {name: alone}
spec: {enableServiceLinks: false, containers: [{name: c, image: x}]}
Y

explain shop -n shop
has "the first container is meant" '^Pod shop/shop, container web \(of: web, side\)$'
has "an own value that hides a ConfigMap's" '^LOG +debug +own value; hides ConfigMap shop/settings, key LOG \(envFrom\)$'
has "a key that hides a Service's" '^MY_DB_PORT +1 +ConfigMap shop/settings, key MY_DB_PORT \(envFrom\); hides Service shop/my-db, port pg-sql 5432/TCP$'
has "a Secret's key" '^PASSWORD +\(secret\) +Secret shop/s, key p$'
has "what was made with it" '^URL +\(secret\) +own value, expanded$'
has "a field" '^NS +shop +fieldRef metadata.namespace$'
has "a Service's address" '^MY_DB_SERVICE_HOST +10.96.3.5 +Service shop/my-db, ClusterIP$'
has "a named port" '^MY_DB_SERVICE_PORT_PG_SQL +5432 +Service shop/my-db, port pg-sql 5432/TCP$'
has "a link" '^MY_DB_PORT_9000_UDP +udp://10.96.3.5:9000 +Service shop/my-db, port m 9000/UDP$'
has "the master service" '^KUBERNETES_SERVICE_PORT_HTTPS +443 +Service default/kubernetes, port https 443/TCP$'
has "what cannot be resolved" '^Problem: spec.containers\[0\].env\[4\], BAD: secret "nope" not found$'
has "what is left out" '^Left out: Service shop/peers: headless: it has no ClusterIP$'
lacks "no secret is shown" geheim
has "the exit status tells of the problem" "$([ $rc = 1 ] && echo . || echo impossible)"
explain pod/shop --namespace=shop --show-secrets
has "a secret on request" '^URL +pg://u:geheim@10.96.3.5:5432 '
explain alone -n shop --output json
has "without links: the master" '"name": "KUBERNETES_SERVICE_HOST"'
has "without links: why" '"reason": "the pod.s spec.enableServiceLinks is false"'
lacks "without links: none else" MY_DB_SERVICE_HOST
has "the exit status is 0" "$([ $rc = 0 ] && echo . || echo impossible)"
explain shop
has "a pod that is not there" '^portico: is the namespace right \(-n NAMESPACE\)\?: pods "shop" not found$'
explain shop -n shop -c nope
has "a container that is not there" '^portico: pod shop/shop has no container "nope"$'
stack_alive || failed=1
echo "1..$n"
exit $failed
