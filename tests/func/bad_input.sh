#!/bin/bash
# bad_input.sh - what nobody should send, to the API server, the ingress proxy and DNS.
#
#   tests/func/bad_input.sh BUILD-DIR          (root)
#
# Each case gets the documented error; afterwards every role is the process it was and answers as before.
# Prints TAP and "N passed, N failed".
here=$(dirname "$(realpath "$0")")
. "$here/stack.sh"
stack_isolate "$@"
stack_up "${1:?usage: bad_input.sh BUILD-DIR}" apiserver controllers dns ingress
declare -p role_pids | sed 's/.*(//; s/)//' > "$work/pids"
WORK=$work NODE_IP=$node_ip python3 -B "$here/bad_input.py"
