#!/bin/bash
# The ingress proxy for MINUTES under a connection for each request, idle connections, and a change every tenth of a second;
# its memory and descriptors are sampled. Fails when a request failed, or when something grew and stayed. Loopback only.
# Needs Debian's wrk, gcc, python3.
#
#	bench/ingress/soak.sh [MINUTES]		10, if not said
#	IDLE=5000 CLIENTS=64 BUILD=build
here=$(cd "$(dirname "$0")" && pwd)
export BUILD
BUILD=$(realpath -m "${BUILD:-$here/../../build}")
MINUTES=${1:-10} IDLE=${IDLE:-5000} CLIENTS=${CLIENTS:-64}
for tool in wrk gcc python3; do
	command -v $tool > /dev/null || { echo "needs $tool" >&2; exit 1; }
done
[ -x "$BUILD/portico" ] || { echo "no $BUILD/portico: make, or BUILD=DIR $0" >&2; exit 1; }
ulimit -n "$(ulimit -Hn)"
PYTHONPATH=$here/../../tests/func MINUTES=$MINUTES IDLE=$IDLE CLIENTS=$CLIENTS HERE=$here exec python3 -B "$here/soak.py"
