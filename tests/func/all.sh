#!/bin/bash
# all.sh BUILD-DIR - every functional test: bad input, manifests of ingress-nginx, then each kubectl that is installed; the oldest
# and the newest with the full set. KUBECTLS="path…" chooses others. (root)
build=$(realpath "${1:?usage: all.sh BUILD-DIR}")
here=$(dirname "$(realpath "$0")")
failed=0

# Lines "MINOR PATH", one for each generation; Google's own `kubectl` only chooses among those beside it.
kubectls() {
	local path
	for path in ${KUBECTLS:-/usr/lib/google-cloud-sdk/bin/kubectl.1.* /usr/bin/kubectl /usr/local/bin/kubectl}; do
		[ ! -x "$path" ] || "$path" version --client -o json 2>/dev/null | sed -n "s|.*\"minor\": *\"\([0-9]*\).*|\1 $path|p"
	done | sort -n -u -k1,1
}

"$here/bad_input.sh" "$build" || failed=1
"$here/ingress.sh" "$build" || failed=1
"$here/ingress_replicas.sh" "$build" || failed=1
"$here/explain_env.sh" "$build" || failed=1
"$here/dns_differential.sh" "$build" || failed=1
"$here/dns_observe.sh" "$build" || failed=1
for attack in dns_hostile dns_upstreams dns_search dns_clients; do
	python3 -B "$here/$attack.py" "$build" || failed=1
done
python3 -B "$here/ingress_features.py" "$build" || failed=1
list=$(kubectls)
[ -n "$list" ] || { echo "Bail out! no kubectl is installed"; exit 1; }
oldest=$(head -1 <<<"$list") newest=$(tail -1 <<<"$list")
while read -r minor path; do
	set=short
	[ "$minor $path" != "$oldest" ] && [ "$minor $path" != "$newest" ] || set=full
	"$here/kubectl.sh" "$build" "$path" $set || failed=1
done <<<"$list"
exit $failed
