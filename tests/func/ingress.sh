#!/bin/bash
# ingress.sh - the ingress proxy by hand, without a cluster: what nobody should send, slow clients, slowed answers, bad upstreams, FastCGI,
# change under load, IPv6, and the same bytes to nginx, HAProxy and Envoy.
#
#   tests/func/ingress.sh BUILD-DIR [hostile attacks differential slow rate upstreams fastcgi random change tickets listen]
#
# Prints TAP and "N passed, N failed" for each. Three minutes.
export BUILD
BUILD=$(realpath "${1:?usage: ingress.sh BUILD-DIR}")
here=$(dirname "$(realpath "$0")")
shift
failed=0
for part in ${*:-hostile attacks differential slow rate upstreams fastcgi random change tickets listen}; do
	echo "# === ingress: $part"
	python3 -B "$here/ingress_$part.py" || failed=1
done
exit $failed
