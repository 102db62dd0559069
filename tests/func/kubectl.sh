#!/bin/bash
# kubectl.sh - one kubectl's commands against the API server and the controllers; without nodes, pods stay Pending.
#
#   tests/func/kubectl.sh BUILD-DIR KUBECTL [full|short]          (root)
#
# Generations differ in what they send (JSON or protobuf bodies, OpenAPI v2 or v3, plain or aggregated discovery)
# and in some words; the commands and what a user sees are the same. Prints TAP and "N passed, N failed".
here=$(dirname "$(realpath "$0")")
. "$here/../e2e/lib.sh"
. "$here/stack.sh"
stack_isolate "$@"
kubectl=$(realpath "${2:?usage: kubectl.sh BUILD-DIR KUBECTL [full|short]}")
stack_up "$1" apiserver controllers
minor=$("$kubectl" version --client -o json | sed -n 's/.*"minor": *"\([0-9]*\).*/\1/p')

k() { timeout 30 "$kubectl" "$@"; }
edit_with() { KUBE_EDITOR="sed -i $1" k edit "${@:2}"; }
# A watch is read until a line matches.
watched() { # REGEX ARGS…
	local re=$1; shift
	timeout 10 "$kubectl" get "$@" > "$work/watch" 2>&1 &
	local pid=$!
	wait_for 9 grep -qE -- "$re" "$work/watch"; local rc=$?
	kill $pid 2>/dev/null; wait $pid 2>/dev/null
	cat "$work/watch"; return $rc
}
deployment() { # REPLICAS IMAGE
	cat <<Y
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: $1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "$2", ports: [{containerPort: 8080, name: http}]}
      - {name: side, image: side}
Y
}
old_ingress() {
	cat <<Y
apiVersion: networking.k8s.io/v1beta1
kind: Ingress
metadata: {name: old, annotations: {kubernetes.io/ingress.class: nginx}}
spec:
  rules: [{host: old.example, http: {paths: [{path: /, backend: {serviceName: web, servicePort: 80}}]}}]
Y
}
revision_is() { matches "^$1\$" k get deploy "$2" -o jsonpath='{.metadata.annotations.deployment\.kubernetes\.io/revision}'; }
# Rollouts need pods that are ready, which no node makes: their status is written as a node would.
pods_ready() {
	local pod
	for pod in $(k get pods -l "$1" -o name); do
		curl -sS --cacert "$work/data/pki/ca.crt" --cert "$work/data/pki/admin.crt" --key "$work/data/pki/admin.key" -o /dev/null -X PATCH \
			-H 'Content-Type: application/merge-patch+json' "https://127.0.0.1:6443/api/v1/namespaces/default/${pod/pod\//pods/}/status" \
			-d '{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}],"podIP":"10.244.9.9","podIPs":[{"ip":"10.244.9.9"}]}}'
	done
}
rolled_out() { pods_ready "$1"; k rollout status "deploy/$2" --timeout=1s; }

applies() {
	echo "# --- kubectl 1.$minor: apply"
	has "version" 'v1\.33' k version
	has "apply" '^deployment.apps/web created' k apply -f - <<<"$(deployment 2 web:1)"
	has "apply again" '^deployment.apps/web unchanged' k apply -f - <<<"$(deployment 2 web:1)"
	has "apply changed" '^deployment.apps/web configured' k apply -f - <<<"$(deployment 3 web:1)"
	is "it is changed, and no container lost" "3 web:1 side" k get deploy web -o jsonpath='{.spec.replicas} {.spec.template.spec.containers[*].image}'
	diff_of() { deployment 4 web:1 | k diff -f -; [ $? = 1 ]; }
	has "diff" '^\+ +replicas: 4' diff_of
	no_diff() { deployment 3 web:1 | k diff -f -; }
	ok "diff of what is the same" no_diff
	fails_with "an unknown field is refused" 1 "$([ "$minor" -lt 25 ] && echo 'error: error validating "STDIN": error validating data: ValidationError(ConfigMap): unknown field "daata" in io.k8s.api.core.v1.ConfigMap; if you choose to ignore these errors, turn validation off with --validate=false' ||
		echo 'Error from server (BadRequest): error when creating "STDIN": ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "daata"')" \
		k apply -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"daata":{}}'
	no "client-side validation or the server's: a wrong type" k apply -f - <<<"$(deployment three web:1)"
	has "apply --dry-run=server" 'server dry run' k apply --dry-run=server -f - <<<"$(deployment 5 web:1)"
	has "apply --dry-run=client" '(dry run)' k apply --dry-run=client -f - <<<"$(deployment 5 web:1)"
	has "apply a list" 'configmap/l2 created' k apply -f - <<<'{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"l1"}},{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"l2"}}]}'
	has "apply a v1beta1 Ingress" 'ingress.networking.k8s.io/old created' k apply -f - <<<"$(old_ingress)"
	version=$(k get ingress old -o jsonpath='{.metadata.resourceVersion}')
	# The defaulted pathType, in a list that is replaced as a whole, makes kubectl send a patch: it says "configured".
	ok "apply it again" k apply -f - <<<"$(old_ingress)"
	is "which changes nothing" "$version" k get ingress old -o jsonpath='{.metadata.resourceVersion}'
	has "which is there as v1" 'web 80' k get ingress.v1.networking.k8s.io old -o jsonpath='{.spec.rules[0].http.paths[0].backend.service.name} {.spec.rules[0].http.paths[0].backend.service.port.number}'
}
creates() {
	echo "# --- kubectl 1.$minor: create"
	ok "create configmap" k create configmap cm --from-literal=a=b
	has "edit" 'configmap/cm edited' edit_with "'s/a: b/a: edited/'" configmap cm
	is "it is edited" edited k get cm cm -o jsonpath='{.data.a}'
	has "edit that changes nothing" 'Edit cancelled' edit_with "''" configmap cm
	has "create deployment" 'deployment.apps/made created' k create deployment made --image=made:1
	has "create service clusterip" 'service/made created' k create service clusterip made --tcp=80:8080
	has "create service nodeport" 'service/np created' k create service nodeport np --tcp=80 --node-port=31234
	has "create ingress" 'ingress.networking.k8s.io/ing created' k create ingress ing --rule='a.example/*=web:80' --rule='b.example/x=web:http,tls=sec'
	has "create secret" 'secret/sec created' k create secret generic sec --from-literal=p=q
	has "create namespace" 'namespace/other created' k create namespace other
	has "create serviceaccount" 'serviceaccount/robot created' k create serviceaccount robot
	has "create role and binding" 'rolebinding.rbac.authorization.k8s.io/rb created' sh -c "'$kubectl' create role r --verb=get --resource=pods && '$kubectl' create rolebinding rb --role=r --serviceaccount=default:robot"
	[ "$minor" -lt 24 ] || has "create token" '^ey[^.]+\.[^.]+\.[^.]+$' k create token robot
	has "create -f twice" 'configmaps "cm" already exists' sh -c "'$kubectl' create configmap cm 2>&1; true"
	has "run" 'pod/alone created' k run alone --image=alone --restart=Never
	has "expose" 'service/web exposed' k expose deployment web --port=80 --target-port=8080
	has "autoscale" 'horizontalpodautoscaler.autoscaling/web autoscaled' k autoscale deployment web --min=1 --max=5 --cpu-percent=80
}
gets() {
	echo "# --- kubectl 1.$minor: get and describe"
	soon 10 "get all" matches '^deployment.apps/web +0/3 +3 +0' k get all
	has "get pods: Pending" '^web-[a-z0-9]+-[a-z0-9]+ +0/2 +Pending +0 ' k get pods
	has "get -o wide" '^NAME +READY +UP-TO-DATE +AVAILABLE +AGE +CONTAINERS +IMAGES +SELECTOR' k get deploy -o wide
	has "get -o yaml" '^  replicas: 3' k get deploy web -o yaml
	has "get -o json" '"kind": "Deployment"' k get deploy web -o json
	has "get -o name" '^deployment.apps/web$' k get deploy -o name
	has "get -o jsonpath" '^web-' k get pods -l app=web -o jsonpath='{.items[0].metadata.name}'
	has "get -o custom-columns" '^web +3$' k get deploy -o custom-columns=N:.metadata.name,R:.spec.replicas
	has "get -o go-template" '^made web ' k get deploy -o go-template='{{range .items}}{{.metadata.name}} {{end}}'
	is "get --sort-by" "made web" sh -c "'$kubectl' get deploy --sort-by=.spec.replicas --no-headers | awk '{print \$1}' | xargs"
	is "get --chunk-size" "$(k get cm -A -o name | wc -l)" sh -c "'$kubectl' get cm -A -o name --chunk-size=1 | wc -l"
	has "get --field-selector" '^alone ' k get pods --field-selector metadata.name=alone
	is "get -l" "web" k get deploy -l app=web -o jsonpath='{.items[*].metadata.name}'
	has "get -l of sets" '^web ' k get deploy -l 'app in (web,x),!nope' --no-headers
	has "get --show-labels" 'app=web$' k get deploy web --show-labels
	has "get -L" 'APP' k get deploy -L app
	has "get services" '^kubernetes +ClusterIP +10\.96\.0\.1 +<none> +443/TCP' k get svc
	has "get several" 'service/np' k get deploy,svc,cm
	has "get --raw" '"major"' k get --raw /version
	fails_with "get what is not there" 1 'Error from server (NotFound): deployments.apps "nope" not found' k get deploy nope
	fails_with "get a kind that is none" 1 'error: the server doesn'"'"'t have a resource type "nopes"' k get nopes
	has "get an empty namespace" 'No resources found in other namespace' k get pods -n other
	has "get -w" '^cm +' watched '^cm +' configmaps -w
	has "get -w --output-watch-events" 'ADDED +cm' watched 'ADDED +cm' cm -w --output-watch-events
	has "get events" 'SuccessfulCreate' k get events
	for field in 'Selector: +app=web' 'Replicas: +3 desired' 'Containers:' 'NewReplicaSet: +web-' 'ScalingReplicaSet|Scaled up'; do has "describe deploy: $field" "$field" k describe deploy web; done
	for field in 'Type: +NodePort' 'NodePort: .*31234/TCP' 'Selector: +app=np' 'Session Affinity: +None'; do has "describe svc: $field" "^$field" k describe svc np; done
	has "describe ingress" 'a.example' k describe ingress ing
	has "describe ingress: a Service without endpoints" 'web:80 +\(' k describe ingress ing
	has "describe pod" '^Status: +Pending' k describe pod -l app=web
	has "describe secret" '^p: +1 bytes' k describe secret sec
	has "describe a namespace" '^Status: +Active' k describe ns default
	ok "create a node" k create -f - <<<'{"apiVersion":"v1","kind":"Node","metadata":{"name":"n1"},"spec":{"taints":[{"key":"a","effect":"NoSchedule"}]}}'
	has "describe node" '^Taints: +a:NoSchedule' k describe node n1
	has "cordon" 'node/n1 cordoned' k cordon n1
	has "get nodes: SchedulingDisabled" '^n1 +(NotReady|Unknown),SchedulingDisabled' k get nodes
	has "uncordon" 'node/n1 uncordoned' k uncordon n1
	has "taint" 'node/n1 tainted|tainted' k taint node n1 b=c:NoSchedule
}
changes() {
	echo "# --- kubectl 1.$minor: change"
	has "patch, strategic" 'patched' k patch deploy web -p '{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"side:2"}]}}}}'
	is "merges by name" "web:1 side:2" k get deploy web -o jsonpath='{.spec.template.spec.containers[*].image}'
	has "patch, merge" 'patched' k patch cm cm --type=merge -p '{"data":{"a":null,"c":"d"}}'
	is "null deletes" '{"c":"d"}' k get cm cm -o jsonpath='{.data}'
	has "patch, JSON" 'patched' k patch cm cm --type=json -p '[{"op":"replace","path":"/data/c","value":"e"}]'
	has "patch that changes nothing" 'patched \(no change\)' k patch cm cm --type=merge -p '{"data":{"c":"e"}}'
	has "scale" 'deployment.apps/web scaled' k scale deploy web --replicas=2
	soon 10 "it scales" matches '^web +0/2 ' k get deploy web
	has "scale with a wrong precondition" 'Expected replicas to be 7, was 2' sh -c "'$kubectl' scale deploy web --current-replicas=7 --replicas=3 2>&1; true"
	has "label" 'labeled' k label deploy web tier=front
	has "label, overwritten" 'labeled' k label --overwrite deploy web tier=back
	has "label without --overwrite is refused" 'already has a value|overwrite' sh -c "'$kubectl' label deploy web tier=x 2>&1; true"
	has "label, removed" 'labeled|unlabeled' k label deploy web tier-
	has "annotate" 'annotate' k annotate deploy web note=x
	has "set image" 'image updated' k set image deploy/web web=web:2
	has "set env" 'env updated' k set env deploy/web A=B
	has "set resources" 'resource requirements updated' k set resources deploy/web -c web --limits=cpu=100m
	soon 10 "the last revision is there" revision_is 5 web
	has "rollout history" '^5 ' k rollout history deploy/web
	has "rollout history --revision" 'Image:.*web:1' k rollout history deploy/web --revision=1
	soon 20 "rollout status" rolled_out app=web web
	has "rollout undo" 'rolled back' k rollout undo deploy/web --to-revision=1
	soon 10 "its image is the first" matches '^web:1 side$' k get deploy web -o jsonpath='{.spec.template.spec.containers[*].image}'
	has "rollout restart" 'restarted' k rollout restart deploy/web
	has "rollout pause" 'paused' k rollout pause deploy/web
	has "rollout resume" 'resumed' k rollout resume deploy/web
	soon 20 "rollout status" rolled_out app=web web
	has "wait" 'condition met' k wait --for=condition=Available deploy/web --timeout=10s
	has "wait times out" 'timed out' sh -c "'$kubectl' wait --for=condition=Ready pod/alone --timeout=1s 2>&1; true"
	has "replace" 'replaced' sh -c "'$kubectl' get cm cm -o yaml | sed 's/c: e/c: f/' | '$kubectl' replace -f -"
	has "replace of what is stale" 'the object has been modified' sh -c "'$kubectl' get cm cm -o yaml | sed 's/resourceVersion: .*/resourceVersion: \"1\"/; s/c: f/c: g/' | '$kubectl' replace -f - 2>&1; true"
	has "replace --force" 'replaced' sh -c "'$kubectl' get cm cm -o yaml | '$kubectl' replace --force -f -"
	fails_with "a nodePort that is taken" 1 'error: failed to create NodePort service: Service "np2" is invalid: spec.ports[0].nodePort: Invalid value: 31234: provided port is already allocated' \
		k create service nodeport np2 --tcp=80 --node-port=31234
}
discovers() {
	echo "# --- kubectl 1.$minor: discovery and rights"
	has "api-resources" '^deployments +deploy +(apps/v1 +)?(apps +)?true +Deployment' k api-resources
	has "api-resources --namespaced=false" '^nodes +no ' k api-resources --namespaced=false
	has "api-resources -o wide" 'patch' k api-resources -o wide
	has "api-versions" '^networking.k8s.io/v1$' k api-versions
	has "explain" 'FIELD: +replicas' k explain deployment.spec.replicas
	has "explain a kind" 'KIND: +Service' k explain service
	has "explain --recursive" 'containerPort' k explain pod.spec.containers --recursive
	has "auth can-i" '^yes' k auth can-i create pods
	has "auth can-i, another" '^no' sh -c "'$kubectl' auth can-i delete nodes --as=system:serviceaccount:default:robot; true"
	has "auth can-i, by its role" '^yes' k auth can-i get pods --as=system:serviceaccount:default:robot
	has "auth can-i --list" '^\*\.\* ' k auth can-i --list
	[ "$minor" -lt 28 ] || has "auth whoami" 'kubernetes-admin' k auth whoami
	has "auth reconcile" 'reconciled' sh -c "'$kubectl' get role r -o yaml | '$kubectl' auth reconcile -f -"
	has "cluster-info" 'Kubernetes control plane|Kubernetes master' k cluster-info
}
deletes() {
	echo "# --- kubectl 1.$minor: delete"
	has "delete" 'configmap "cm" deleted' k delete cm cm
	fails_with "delete what is not there" 1 'Error from server (NotFound): configmaps "cm" not found' k delete cm cm
	ok "delete --ignore-not-found" k delete cm cm --ignore-not-found
	has "delete --now" 'pod "alone"' k delete pod alone --now
	has "delete --cascade=orphan" 'deleted' k delete deploy made --cascade=orphan
	has "its ReplicaSet stays" '^made-' k get rs
	has "delete --cascade=foreground" 'deleted' k delete deploy web --cascade=foreground
	is "nothing of it is left" "" sh -c "'$kubectl' get rs,pods -l app=web -o name"
	has "delete --cascade=background" 'deleted' k delete rs -l app=made --cascade=background
	soon 10 "its pods go" not_matches made k get pods -o name
	has "run another" created k run forced --image=x --restart=Never
	has "delete --force" 'force deleted' k delete pod forced --force --grace-period=0
	has "delete -l" 'deleted' k delete svc -l app=made
	has "delete --all" 'configmap "l1" deleted' k delete cm --all
	has "delete by kind and name" 'ingress.networking.k8s.io "ing" deleted' k delete ing/ing
	has "delete -f" 'deleted' k delete -f - <<<'{"apiVersion":"networking.k8s.io/v1beta1","kind":"Ingress","metadata":{"name":"old"}}'
	has "delete --dry-run=server" 'server dry run' k delete secret sec --dry-run=server
	has "delete a namespace, and wait" 'namespace "other" deleted' k delete ns other --timeout=20s
	no "it is gone" k get ns other
}

if [ "${3:-}" = short ]; then sections="applies creates discovers"; else sections="applies creates gets changes discovers deletes"; fi
for section in $sections; do $section; done
ok "every role is the process it was" stack_alive
summary
