#!/bin/bash
# demo.sh BUILD-DIR - starts portico, applies examples/, asks every way in and prints the answers.
set -eu
build=$(realpath "$1")
here=$(dirname "$(realpath "$0")")/..
portico=$build/portico
: "${KUBECTL:=kubectl}"
ns=portico-demo   # a network namespace next door: somebody who is not this machine
near=172.31.254.1 far=172.31.254.2
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$(printf '\033[1m') green=$(printf '\033[32m') red=$(printf '\033[31m') plain=$(printf '\033[0m'); else bold= green= red= plain=; fi

step() { echo "${bold}==> $1${plain}"; }
die() { echo "${red}demo: $1${plain}" >&2; exit 1; }
k() { "$KUBECTL" --context portico "$@"; }
until_ok() { # SECONDS WHAT COMMAND…
	local end=$(($(date +%s) + $1)) what=$2; shift 2
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -lt "$end" ] || die "$what did not happen in time; see \`portico status\` and /var/lib/portico/logs"
		sleep 0.1
	done
}

[ "$(id -u)" -eq 0 ] || die "it runs containers and network programs: use sudo make demo"
step "Starting portico"
"$portico" up

# The kubeconfig that `up` has just merged is the user's; under sudo that is not root's.
user_home=$(getent passwd "${SUDO_USER:-root}" | cut -d: -f6)
export KUBECONFIG=${KUBECONFIG:-$user_home/.kube/config}

step "Loading the example images"
for image in my-app-1.0.0 my-app-1.0.1 busybox; do "$portico" image load "$build/images/$image.tar"; done

step "kubectl apply -f examples/"
k apply -f "$here/examples/"

step "Waiting for 3 pods, a client pod, and an address"
k rollout status deployment/my-deploy --timeout=60s
k wait --for=condition=Ready pod/client --timeout=60s >/dev/null
until_ok 20 "an EXTERNAL-IP" sh -c "[ -n \"\$('$KUBECTL' --context portico get service my-loadbalancer -o jsonpath='{.status.loadBalancer.ingress[0].ip}')\" ]"

next_door() { nsenter --net=/run/netns/$ns "$@"; }
ip netns del $ns 2>/dev/null || true
ip link del pdemo0 2>/dev/null || true
ip netns add $ns
trap 'ip netns del $ns 2>/dev/null; ip link del pdemo0 2>/dev/null || true' EXIT
ip link add pdemo0 type veth peer name pdemo1 netns $ns
ip addr add $near/24 dev pdemo0 && ip link set pdemo0 up
next_door ip addr add $far/24 dev pdemo1
next_door ip link set pdemo1 up
next_door ip route add default via $near

cluster_ip=$(k get service my-service -o jsonpath='{.spec.clusterIP}')
lb_ip=$(k get service my-loadbalancer -o jsonpath='{.status.loadBalancer.ingress[0].ip}')
node_ip=$(k get nodes -o jsonpath='{.items[0].status.addresses[?(@.type=="InternalIP")].address}')

# "VERSION HOSTNAME METHOD PATH": twelve answers show who is behind the address.
bad=0
row() { # WAY ADDRESS COMMAND…
	local way=$1 address=$2 out who; shift 2
	local end=$(($(date +%s) + 10))
	until out=$("$@" 2>&1) && [ "$(printf '%s\n' "$out" | wc -l)" -ge 12 ]; do
		[ "$(date +%s)" -lt "$end" ] || break
		sleep 0.2
	done
	who=$(printf '%s\n' "$out" | awk '/^1\./ {n[$2]++} END {for (p in n) printf "%s×%d ", p, n[p]}')
	if [ -n "$who" ]; then printf '%-24s %-38s %s%-7s%s %s\n' "$way" "$address" "$green" "$(printf '%s' "$out" | head -1 | cut -d' ' -f1)" "$plain" "$who"
	else printf '%-24s %-38s %s%s%s\n' "$way" "$address" "$red" "$(printf '%s' "$out" | tail -1 | cut -c1-60)" "$plain"; bad=1; fi
}
ask12() { for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do curl -sS -m 3 "$@"; done; }
next12() { for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do next_door curl -sS -m 3 "$@"; done; }
pod12() { k exec client -- sh -c "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do wget -qO- '$1'; done"; }

step "Every way in"
printf "${bold}%-24s %-38s %-7s %s${plain}\n" "WAY IN" "ADDRESS" "ANSWER" "PODS THAT ANSWERED"
row "ClusterIP, from a pod" "http://$cluster_ip:3000" pod12 "http://$cluster_ip:3000/"
row "name, from a pod" "http://my-service:3000" pod12 http://my-service:3000/
row "ClusterIP, this machine" "http://$cluster_ip:3000" ask12 "http://$cluster_ip:3000/"
row "NodePort, loopback" "http://localhost:32000" ask12 http://localhost:32000/
row "NodePort, next door" "http://$node_ip:32000" next12 "http://$node_ip:32000/"
row "LoadBalancer" "http://$lb_ip" ask12 "http://$lb_ip/"
row "LoadBalancer, next door" "http://$lb_ip" next12 "http://$lb_ip/"
row "Ingress" "http://myapp.mydomain.com (127.0.0.1)" ask12 -H 'Host: myapp.mydomain.com' http://127.0.0.1/
row "Ingress, next door" "http://myapp.mydomain.com ($node_ip)" next12 -H 'Host: myapp.mydomain.com' "http://$node_ip/"

cat <<E2

portico is running; kubectl has a context "portico":
  kubectl --context portico get all -A
  kubectl --context portico set image deployment/my-deploy my-app=my-app:1.0.1
  $portico status
Stop it with:  sudo $portico down      (the objects stay; \`up\` brings them back)
E2
exit $bad
