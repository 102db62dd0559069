#!/bin/sh
# ingress.sh - Kubernetes' [sig-network] tests of Ingress and IngressClass against a standalone portico.
#
#   tests/conformance/ingress.sh [BUILD-DIR]      (as dns.sh, which it calls)
#
# Prints a table of them and ends with 1 if one failed. One test wants no default IngressClass; portico's own is made an ordinary one.
# Two minutes.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
table=$(mktemp)
trap 'rm -f "$table" "$table.new"' EXIT
FOCUS='\[sig-network\] Ingress' SKIP='no such test' \
	PREPARE='kubectl annotate ingressclass --all ingressclass.kubernetes.io/is-default-class-' \
	"$here/dns.sh" "${1:-$here/../../build}" "$table"
