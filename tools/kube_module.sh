#!/bin/sh
# kube_module.sh VERSION - prints a go.mod by which packages of k8s.io/kubernetes itself can be built.
#
# Its staging repositories are released as modules of their own, v1.x.y as v0.x.y; its own go.mod names them by v0.0.0 and
# folders that no module zip holds.
set -eu
version=${1:?usage: kube_module.sh VERSION}
# Not in the folder of the go.mod that is about to be made.
theirs=$(cd / && go mod download -json "k8s.io/kubernetes@$version" | sed -n 's/^.*"GoMod": "\(.*\)".*$/\1/p')
[ -n "$theirs" ] || { echo "k8s.io/kubernetes $version cannot be had" >&2; exit 1; }

printf 'module bench\n\ngo 1.24.0\n\nrequire k8s.io/kubernetes %s\n\n' "$version"
sed -n 's|^[[:space:]]*\(k8s.io/[^ ]*\) => \./staging/.*|\1|p' "$theirs" |
while read -r module; do
	printf 'replace %s => %s v0.%s\n' "$module" "$module" "${version#v1.}"
done
