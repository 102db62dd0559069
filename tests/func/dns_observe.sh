#!/bin/bash
# dns_observe.sh BUILD-DIR - what the DNS role tells about itself: metrics, health, query log, query, log, top. (root) Prints TAP.
here=$(dirname "$(realpath "$0")")
. "$here/stack.sh"
stack_isolate "$@"
ip link set lo up
exec python3 -B "$here/dns_observe.py" "$(realpath "${1:?usage: dns_observe.sh BUILD-DIR}")"
