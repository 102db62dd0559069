#!/bin/bash
# walk.sh - the whole way, from `kubectl apply` to an answer, on real containers, with the real kubectl.
#
#   tests/e2e/walk.sh BUILD-DIR          (root; uses ports 80, 443, 6443, 10250, 10053, and /tmp/portico-walk)
#
# Every line is what Kubernetes answers. KUBECTL=path chooses another kubectl. Prints TAP and "N passed, N failed".
set -u
build=$(realpath "${1:?usage: walk.sh BUILD-DIR}")
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"

portico=$build/portico
load=$build/tests/load
work=/tmp/portico-walk
data=$work/data run=$work/run
settings="--data-dir=$data --run-dir=$run"
ns=portico-walk                # the neighbouring network namespace
near=172.31.255.1 far=172.31.255.2
: "${KUBECTL:=kubectl}"
export KUBECONFIG=$data/admin.kubeconfig HOME=$work/home
loads=()

k() { timeout 120 "$KUBECTL" "$@"; }
neighbour() { nsenter --net=/run/netns/$ns "$@"; }
get() { curl -sS -m 5 "$@"; }
code() { curl -s -o /dev/null -m 5 -w '%{http_code}' "$@"; }
inpod() { k exec client -- "$@"; }
pods_of() { k get pods -l "$1" -o name | wc -l; }

stop_everything() {
	local pid
	for pid in "${loads[@]}"; do kill "$pid" 2>/dev/null; done
	[ ! -e "$run" ] || "$portico" down $settings >/dev/null 2>&1
	ip netns del $ns 2>/dev/null
	ip link del pw0 2>/dev/null
	return 0
}
trap stop_everything EXIT

section() { echo "# --- $1"; }

# load_start NAME ARGS… / load_end NAME: what failed in between
load_start() { "$load" "${@:2}" >"$work/load-$1" 2>"$work/load-$1.err" & loads+=($!); eval "load_$1=$!"; }
load_end() { # NAME WHAT [allowed kind]
	local pid; eval "pid=\$load_$1"
	kill -TERM "$pid"; wait "$pid"
	local line; line=$(cat "$work/load-$1")
	local fine='^requests=|=0$'; [ -z "${3:-}" ] || fine="$fine|^$3="
	local bad; bad=$(tr ' ' '\n' <<<"$line" | grep -vE "$fine" || true)
	local n; n=$(sed -n 's/requests=\([0-9]*\).*/\1/p' <<<"$line")
	if [ -z "$bad" ] && [ "${n:-0}" -gt 20 ]; then pass "$2 ($line)"; else fail "$2" "$line
$(tail -5 "$work/load-$1.err")"; fi
}

before_snapshot() { # what `portico down` must leave as it was
	{ ip -o link | awk -F': ' '{print "link", $2}' | sort; ip netns list | sort; nft list tables 2>/dev/null | sort
	  ls /sys/fs/bpf 2>/dev/null | sort | sed 's/^/bpf /'; grep -cE "$work|portico" /proc/mounts; ip -o addr show lo | awk '{print $4}'
	  find /sys/fs/cgroup -maxdepth 3 -name 'kubepods*' | sort; ip route; } 2>/dev/null
}

stop_everything
rm -rf "$work"; mkdir -p "$work/home"
before=$(before_snapshot)
ip netns add $ns
ip link add pw0 type veth peer name pw1 netns $ns
ip addr add $near/24 dev pw0; ip link set pw0 up
neighbour ip addr add $far/24 dev pw1; neighbour ip link set pw1 up; neighbour ip link set lo up
neighbour ip route add default via $near

section "up"
has "up starts every role" 'ingress +ready|ingress.*ready' "$portico" up $settings --no-kubeconfig
has "up twice says that it runs" 'already' "$portico" up $settings --no-kubeconfig
ok "status: every role is ready" "$portico" status $settings
has "status as JSON" '"state": *"ready"' "$portico" status $settings --output json
has "version" '^portico [0-9]' "$portico" version
for image in my-app-1.0.0 my-app-1.0.1 busybox; do ok "image load $image" "$portico" image load "$build/images/$image.tar" $settings; done
soon 10 "the node is Ready" matches ' Ready ' k get nodes
has "get all -A shows the ingress" 'ingress' k get all -A

section "Deployment"
sed '/^---/,$d' "$here/../../examples/my-app.yaml" > "$work/deploy.yaml"
ok "apply a Deployment" k apply -f "$work/deploy.yaml"
soon 30 "3 pods are 1/1 Running" matches '^3$' sh -c "'$KUBECTL' get pods -l app=my-app | grep -c '1/1 .*Running'"
has "get all: pod" '^pod/my-deploy-[a-z0-9]+-[a-z0-9]+ +1/1 +Running' k get all
has "get all: deployment" '^deployment.apps/my-deploy +3/3 +3 +3' k get all
has "get all: replicaset" '^replicaset.apps/my-deploy-[a-z0-9]+ +3 +3 +3' k get all
has "apply again changes nothing" 'unchanged' k apply -f "$work/deploy.yaml"
has "rollout status" 'successfully rolled out' k rollout status deployment/my-deploy --timeout=30s
for n in 5 1 3; do
	ok "scale to $n" k scale deployment my-deploy --replicas=$n
	soon 30 "$n pods" matches "^$n\$" sh -c "'$KUBECTL' get pods -l app=my-app --no-headers | grep -c Running | grep -x $n; '$KUBECTL' get pods -l app=my-app --no-headers | wc -l | grep -x $n"
done
ok "a pod to ask from" k apply -f "$here/../../examples/client.yaml"
ok "wait for it" k wait --for=condition=Ready pod/client --timeout=30s

section "Service"
ok "apply a Service" k apply -f - <<'Y'
apiVersion: v1
kind: Service
metadata: {name: my-service}
spec:
  selector: {app: my-app}
  ports: [{port: 3000, targetPort: 8080}]
Y
has "the kubernetes Service" '^kubernetes +ClusterIP +10\.96\.0\.1 +<none> +443/TCP' k get services
has "the new Service" '^my-service +ClusterIP +10\.[0-9.]+ +<none> +3000/TCP' k get services
ip=$(k get service my-service -o jsonpath='{.spec.clusterIP}')
soon 10 "3 endpoints" matches '^3$' sh -c "'$KUBECTL' get endpointslices -l kubernetes.io/service-name=my-service -o jsonpath='{.items[*].endpoints[*].addresses[0]}' | wc -w"
no "localhost:3000 is refused" curl -s -m 2 localhost:3000/api/healthcheck
is "from a pod by ClusterIP" OK inpod wget -qO- "http://$ip:3000/api/healthcheck"
is "from a pod by name" OK inpod wget -qO- http://my-service:3000/api/healthcheck
is "from a pod by its full name" OK inpod wget -qO- http://my-service.default.svc.cluster.local:3000/api/healthcheck
is "from the node by ClusterIP" OK get "http://$ip:3000/api/healthcheck"
inpod sh -c "i=0; while [ \$i -lt 300 ]; do wget -qO- http://$ip:3000/who; i=\$((i+1)); done" > "$work/spread"
spread=$(awk '{n[$2]++} END {for (p in n) print n[p]}' "$work/spread" | sort -n | tr '\n' ' ')
if awk '{n[$2]++} END {bad = NR != 300; k = 0; for (p in n) {k++; if (n[p] < 75 || n[p] > 126) bad = 1} exit bad || k != 3}' "$work/spread"; then
	pass "300 requests reach all three pods evenly ($spread)"; else fail "300 requests reach all three pods evenly" "$spread"; fi

section "NodePort"
ok "the same Service as NodePort" k patch service my-service -p '{"spec":{"type":"NodePort"}}'
has "get services shows the port" '^my-service +NodePort +[0-9.]+ +<none> +3000:3[0-9]{4}/TCP' k get services
port=$(k get service my-service -o jsonpath='{.spec.ports[0].nodePort}')
node=$(k get nodes -o jsonpath='{.items[0].status.addresses[?(@.type=="InternalIP")].address}')
soon 5 "localhost:nodePort answers" matches OK get "http://localhost:$port/api/healthcheck"
soon 5 "from another network namespace by the node's address" matches OK neighbour curl -sS -m 3 "http://$node:$port/api/healthcheck"
is "from a pod by the node's address" OK inpod wget -qO- "http://$node:$port/api/healthcheck"
svc2() { cat <<Y
apiVersion: v1
kind: Service
metadata: {name: $1}
spec:
  type: NodePort
  selector: {app: my-app}
  ports: [{port: 3000, targetPort: 8080, nodePort: 32000}]
Y
}
ok "nodePort: 32000" k apply -f - <<<"$(svc2 my-service1)"
soon 5 "it answers" matches OK get http://localhost:32000/api/healthcheck
fails_with "a second Service with it is refused" 1 \
	'The Service "my-service2" is invalid: spec.ports[0].nodePort: Invalid value: 32000: provided port is already allocated' \
	k apply -f - <<<"$(svc2 my-service2)"
no "and nothing is stored" k get service my-service2
ok "static clusterIP" k apply -f - <<'Y'
apiVersion: v1
kind: Service
metadata: {name: static}
spec:
  clusterIP: 10.96.77.77
  selector: {app: my-app}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: other, port: 81, targetPort: 8080}]
Y
has "it has that address and both ports" '^static +ClusterIP +10\.96\.77\.77 +<none> +80/TCP,81/TCP' k get services
has "which cannot change" 'may not change once set' sh -c "'$KUBECTL' patch service static -p '{\"spec\":{\"clusterIP\":\"10.96.77.78\",\"clusterIPs\":[\"10.96.77.78\"]}}' 2>&1; true"
ok "a named targetPort" k apply -f - <<'Y'
apiVersion: v1
kind: Pod
metadata: {name: flask, labels: {app: flask}}
spec:
  containers:
  - name: flask
    image: my-app:1.0.0
    ports: [{name: flask-port, containerPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: flask}
spec:
  selector: {app: flask}
  ports: [{port: 5000, targetPort: flask-port}]
Y
soon 20 "it answers" matches OK inpod wget -qO- http://flask:5000/api/healthcheck

section "LoadBalancer, ExternalName"
ok "a LoadBalancer" k apply -f - <<'Y'
apiVersion: v1
kind: Service
metadata: {name: lb}
spec:
  type: LoadBalancer
  selector: {app: my-app}
  ports: [{port: 80, targetPort: 8080}]
Y
soon 5 "EXTERNAL-IP" matches '^lb +LoadBalancer +[0-9.]+ +[0-9]+\.[0-9.]+ +80:3[0-9]{4}/TCP' k get services
lb=$(k get service lb -o jsonpath='{.status.loadBalancer.ingress[0].ip}')
soon 5 "it answers on this machine" matches OK get "http://$lb/api/healthcheck"
soon 5 "and from the neighbouring namespace" matches OK neighbour curl -sS -m 3 "http://$lb/api/healthcheck"
for field in 'Type: +LoadBalancer' "LoadBalancer Ingress: +$lb" 'NodePort:' 'Endpoints: +10\.' 'Port: '; do has "describe service: $field" "^$field" k describe service lb; done
ok "an ExternalName" k create service externalname ext --external-name example.org
has "nslookup in a pod gives the CNAME" 'canonical name = example.org' sh -c "'$KUBECTL' exec client -- nslookup -type=cname ext.default.svc.cluster.local 2>&1; true"

section "environment"
pod=$(k get pods -l app=my-app -o jsonpath='{.items[0].metadata.name}')
has "the kubernetes Service's variables" '^KUBERNETES_SERVICE_HOST=10.96.0.1' sh -c "curl -s http://$(k get pod flask -o jsonpath={.status.podIP}):8080/env"
hasnt "no variables of younger Services" 'MY_SERVICE_SERVICE_HOST' sh -c "curl -s http://$(k get pod "$pod" -o jsonpath='{.status.podIP}'):8080/env"
ok "rollout restart" k rollout restart deployment/my-deploy
ok "it ends" k rollout status deployment/my-deploy --timeout=60s
pod=$(k get pods -l app=my-app --field-selector=status.phase=Running --sort-by=.metadata.creationTimestamp -o jsonpath='{.items[-1:].metadata.name}')
has "then those too" "^MY_SERVICE_SERVICE_HOST=$ip" sh -c "curl -s http://$(k get pod "$pod" -o jsonpath='{.status.podIP}'):8080/env"
has "kubectl exec printenv in a pod" '^KUBERNETES_SERVICE_PORT=443' k exec client -- printenv

section "kubectl"
has "run -i --rm" '^hello from a pod$' sh -c "echo 'echo hello from a pod' | timeout 60 '$KUBECTL' run once --image=busybox:portico -i --rm --restart=Never -- sh"
has "run -i -t --rm" 'tty-works' sh -c "echo 'echo tty-works; exit' | timeout 60 script -qec \"$KUBECTL run oncetty --image=busybox:portico -i --tty --rm --restart=Never -- sh\" /dev/null"
has "logs" 'my-app 1.0.0 listens' k logs "$pod"
has "logs -f follows" 'listens' sh -c "timeout 2 '$KUBECTL' logs -f '$pod'; true"
has "describe pod" '^Node:' k describe pod "$pod"
has "describe pod: events" 'Started' k describe pod "$pod"
has "describe deploy" 'ScalingReplicaSet' k describe deployment my-deploy
has "describe svc" '^Selector: +app=my-app' k describe service my-service
has "get -o yaml" '^kind: Pod' k get pod "$pod" -o yaml
has "get -o wide" "$node|NODE" k get pods -o wide
has "get -o jsonpath" '^10\.244\.' k get pod "$pod" -o jsonpath='{.status.podIP}'
has "-l" "$pod" k get pods -l app=my-app
has "--field-selector" "$pod" k get pods --field-selector "metadata.name=$pod"
has "get -w shows a change" 'watched' sh -c "timeout 8 '$KUBECTL' get configmaps -w & sleep 2; '$KUBECTL' create configmap watched --from-literal=a=b >/dev/null; wait; true"
has "explain" 'FIELD: +replicas' k explain deployment.spec.replicas
has "edit" 'edited' env KUBE_EDITOR="sed -i 's/a: b/a: edited/'" "$KUBECTL" edit configmap watched
has "diff" '\+ +replicas: 4' sh -c "sed 's/replicas: 3/replicas: 4/' '$work/deploy.yaml' | '$KUBECTL' diff -f -; true"
has "auth can-i" '^yes' k auth can-i create pods
ok "delete waits" k delete pod flask --timeout=60s
no "and it is gone" k get pod flask

section "Ingress"
k create deployment users --image=my-app:1.0.0 >/dev/null; k create deployment products --image=my-app:1.0.1 >/dev/null
k expose deployment users --port=80 --target-port=8080 >/dev/null; k expose deployment products --port=80 --target-port=8080 >/dev/null
ok "both are available" k wait --for=condition=Available deployment/users deployment/products --timeout=40s
ok "apply an Ingress" k apply -f - <<'Y'
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: main}
spec:
  rules:
  - host: myapp.mydomain.com
    http: &rules
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: my-service, port: {number: 3000}}}}
      - {path: /users, pathType: Prefix, backend: {service: {name: users, port: {number: 80}}}}
      - {path: /products, pathType: Exact, backend: {service: {name: products, port: {number: 80}}}}
      - {path: /missing, pathType: Prefix, backend: {service: {name: missing, port: {number: 80}}}}
  - host: "*.myapp.mydomain.com"
    http: *rules
Y
via() { get -H "Host: $1" "http://127.0.0.1$2"; }
via_code() { code -H "Host: $1" "http://127.0.0.1$2"; }
soon 5 "the host is answered" matches '^OK$' via myapp.mydomain.com /api/healthcheck
is "another host: 404" 404 via_code other.mydomain.com /
is "one label for the star: 200" 200 via_code x.myapp.mydomain.com /
is "two labels: 404" 404 via_code x.y.myapp.mydomain.com /
has "Prefix /users" '^1.0.0 users' via myapp.mydomain.com /users/1
has "Exact /products" '^1.0.1 products' via myapp.mydomain.com /products
has "/products/1 is not Exact" '^1.0.0 my-deploy' via myapp.mydomain.com /products/1
is "a missing Service: 503" 503 via_code myapp.mydomain.com /missing
soon 5 "ADDRESS" matches "^main +nginx +myapp.mydomain.com,\*.myapp.mydomain.com +$node +80" k get ingress
has "describe ingress: missing Service" "missing:80 \(.*(not found|could not be found).*\)" k describe ingress main
ok "v1beta1 with rewrite-target applies unchanged" k apply -f - <<'Y'
apiVersion: networking.k8s.io/v1beta1
kind: Ingress
metadata:
  name: old
  annotations:
    kubernetes.io/ingress.class: "nginx"
    nginx.ingress.kubernetes.io/rewrite-target: /
spec:
  rules:
  - host: old.mydomain.com
    http:
      paths:
      - path: /app
        backend: {serviceName: my-service, servicePort: 3000}
Y
soon 5 "it rewrites" matches ' GET /$' via old.mydomain.com /app
ok "edit the host" env KUBE_EDITOR="sed -i s/old.mydomain.com/new.mydomain.com/" "$KUBECTL" edit ingress.v1.networking.k8s.io old
soon 1 "it takes effect at once" matches ' GET /$' via new.mydomain.com /app
is "the old host: 404" 404 via_code old.mydomain.com /app
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=tls.mydomain.com -addext subjectAltName=DNS:tls.mydomain.com \
	-keyout "$work/tls.key" -out "$work/tls.crt" 2>/dev/null
ok "a TLS Secret" k create secret tls my-tls --cert="$work/tls.crt" --key="$work/tls.key"
ok "an Ingress with TLS" k apply -f - <<'Y'
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: tls}
spec:
  ingressClassName: nginx
  tls: [{hosts: [tls.mydomain.com], secretName: my-tls}]
  rules:
  - host: tls.mydomain.com
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: my-service, port: {number: 3000}}}}]}
Y
soon 5 "https by SNI with that certificate" matches '^OK$' get --cacert "$work/tls.crt" --resolve tls.mydomain.com:443:127.0.0.1 https://tls.mydomain.com/api/healthcheck
is "http is redirected" 308 via_code tls.mydomain.com /
ok "a Secret with a broken certificate" k create secret generic broken --type=kubernetes.io/tls --from-literal=tls.crt=junk --from-literal=tls.key=junk
ok "an Ingress that names it" k apply -f - <<'Y'
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: broken}
spec:
  ingressClassName: nginx
  tls: [{hosts: [broken.mydomain.com], secretName: broken}]
  rules:
  - host: broken.mydomain.com
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: my-service, port: {number: 3000}}}}]}
Y
soon 5 "is served with the default certificate" matches '^OK$' get -k --resolve broken.mydomain.com:443:127.0.0.1 https://broken.mydomain.com/api/healthcheck
soon 5 "an event says so" matches 'BadCertificate' k get events
is "and others are not affected" OK get --cacert "$work/tls.crt" --resolve tls.mydomain.com:443:127.0.0.1 https://tls.mydomain.com/api/healthcheck
k delete ingress broken >/dev/null

section "readiness and restarts"
pod=$(k get pods -l app=my-app --field-selector=status.phase=Running -o jsonpath='{.items[0].metadata.name}')
podip=$(k get pod "$pod" -o jsonpath='{.status.podIP}')
ok "make a pod unready" curl -sS -m 3 "http://$podip:8080/ready/off"
soon 3 "it is not ready" matches "^$pod +0/1 +Running" k get pods
hits() { for _ in $(seq 60); do get "http://$ip:3000/who"; done; }
soon 1 "no traffic within a second" not_matches "$pod" hits
curl -sS "http://$podip:8080/ready/on" >/dev/null
soon 4 "and it returns" matches "$pod" hits
curl -s "http://$podip:8080/exit" >/dev/null
soon 10 "a killed container restarts and counts" matches "^$pod +1/1 +Running +1 \(" k get pods

section "changes under load"
app_pods_ready() { matches '^3$' sh -c "'$KUBECTL' get pods -l app=my-app --no-headers | grep -c '1/1 .*Running'"; }
soon 20 "three pods are ready" app_pods_ready
load_start cluster "$ip" 3000 /api/healthcheck
load_start node 127.0.0.1 "$port" /api/healthcheck
load_start ingress 127.0.0.1 80 /api/healthcheck myapp.mydomain.com
ok "rolling update" k set image deployment/my-deploy my-app=my-app:1.0.1
ok "it ends" k rollout status deployment/my-deploy --timeout=90s
has "the new version answers" '^1.0.1' get "http://$ip:3000/"
ok "rollout undo" k rollout undo deployment/my-deploy
ok "it ends" k rollout status deployment/my-deploy --timeout=90s
has "the old version answers" '^1.0.0' get "http://$ip:3000/"
role_pid() { "$portico" status $settings --output json | python3 -c "import json,sys
for r in json.load(sys.stdin)['roles']:
  if r['name'] == '$1' and r['state'] == 'ready': print(r['pid'])"; }
new_pid() { local now; now=$(role_pid "$1"); [ -n "$now" ] && [ "$now" != "$2" ]; }
for role in apiserver controllers node proxy dns lb; do
	old=$(role_pid $role)
	kill -9 "$old"
	soon 10 "kill -9 of $role: it is back" new_pid $role "$old"
done
load_end ingress "no failed request through the Ingress"
load_start ingress 127.0.0.1 80 /api/healthcheck myapp.mydomain.com
old=$(role_pid ingress); kill -9 "$old"
soon 10 "kill -9 of ingress: it is back" new_pid ingress "$old"
soon 5 "and serves" matches '^OK$' via myapp.mydomain.com /api/healthcheck
load_end ingress "only requests in flight failed, none was refused" cut
load_end cluster "no failed request on the ClusterIP"
load_end node "no failed request on the NodePort"

section "down and up"
k scale deployment my-deploy --replicas=2 >/dev/null
objects=$(k get deploy,svc,ingress,cm,secret -A -o name | sort)
ok "down" "$portico" down $settings
ok "down twice" "$portico" down $settings
ok "up" "$portico" up $settings --no-kubeconfig
is "every object is there again" "$objects" sh -c "'$KUBECTL' get deploy,svc,ingress,cm,secret -A -o name | sort"
soon 60 "and everything answers again" matches '^OK$' via myapp.mydomain.com /api/healthcheck

section "durability"
seq 1 1000 > "$work/numbers"
( xargs -a "$work/numbers" -P4 -I{} sh -c 'curl -sk --cert "$0/c.pem" --key "$0/k.pem" -X POST -H "Content-Type: application/json" -w "%{http_code} {}\n" -o /dev/null -d "{\"metadata\":{\"name\":\"n{}\"}}" https://127.0.0.1:6443/api/v1/namespaces/default/configmaps' "$work" > "$work/acked" 2>/dev/null ) &
creator=$!
cp "$data/pki/admin.crt" "$work/c.pem"; cp "$data/pki/admin.key" "$work/k.pem"
soon 30 "some are created" sh -c "[ \"\$(grep -c ^201 '$work/acked')\" -gt 200 ]"
kill -9 "$(role_pid apiserver)"
wait $creator
sleep 0.5
k get configmaps -o name | sed 's|configmap/||' | sort > "$work/stored"
awk '$1 == 201 {print "n" $2}' "$work/acked" | sort > "$work/acknowledged"
is "kill -9 in the middle of 1,000 creations: every acknowledged object exists ($(wc -l < "$work/acknowledged"))" "" comm -23 "$work/acknowledged" "$work/stored"

section "the end"
ok "down" "$portico" down $settings
ip netns del $ns; ip link del pw0 2>/dev/null
is "nothing is left behind" "$before" before_snapshot
no "no process is left" pgrep -f "$run"
is "no mount is left" 0 grep -c "$work" /proc/mounts
summary
