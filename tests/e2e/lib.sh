# lib.sh - checks for the end-to-end scripts, in TAP's words. Sourced.
# A check names what Kubernetes' user would see; its output is printed when it fails.

PASSED=0 FAILED=0

pass() { PASSED=$((PASSED + 1)); echo "ok $((PASSED + FAILED)) - $1"; }
fail() {
	FAILED=$((FAILED + 1))
	echo "not ok $((PASSED + FAILED)) - $1"
	[ -z "${2:-}" ] || printf '%s\n' "$2" | sed 's/^/#   /' | head -${3:-30}
}

# ok NAME COMMAND… - succeeds
ok() {
	local name=$1 out; shift
	if out=$("$@" 2>&1); then pass "$name"; else fail "$name" "\$ $*
$out"; fi
}
# no NAME COMMAND… - fails
no() {
	local name=$1 out; shift
	if out=$("$@" 2>&1); then fail "$name" "\$ $* (succeeded)
$out"; else pass "$name"; fi
}
# has NAME REGEX COMMAND… - succeeds and its output has a line that matches
has() {
	local name=$1 re=$2 out; shift 2
	if out=$("$@" 2>&1) && grep -qE -- "$re" <<<"$out"; then pass "$name"; else fail "$name" "\$ $*
wanted: $re
$out"; fi
}
# hasnt NAME REGEX COMMAND…
hasnt() {
	local name=$1 re=$2 out; shift 2
	if out=$("$@" 2>&1) && ! grep -qE -- "$re" <<<"$out"; then pass "$name"; else fail "$name" "\$ $*
unwanted: $re
$out"; fi
}
# is NAME TEXT COMMAND… - its whole output is TEXT
is() {
	local name=$1 want=$2 out; shift 2
	out=$("$@" 2>&1) || true
	if [ "$out" = "$want" ]; then pass "$name"; else fail "$name" "\$ $*
want: $want
got:  $out"; fi
}
# fails_with NAME STATUS TEXT COMMAND… - exit status and whole output
fails_with() {
	local name=$1 status=$2 want=$3 out rc=0; shift 3
	out=$("$@" 2>&1) || rc=$?
	if [ "$rc" = "$status" ] && [ "$out" = "$want" ]; then pass "$name"; else fail "$name" "\$ $*
want ($status): $want
got ($rc): $out"; fi
}
# soon SECONDS NAME COMMAND… - succeeds within that time; asked again every 50 ms
soon() {
	local limit=$1 name=$2 out end; shift 2
	end=$(($(date +%s%3N) + limit * 1000))
	until out=$("$@" 2>&1); do
		if [ "$(date +%s%3N)" -gt "$end" ]; then fail "$name (within $limit s)" "\$ $*
$out"; return 0; fi
		sleep 0.05
	done
	pass "$name"
}
# matches REGEX COMMAND… - for soon: succeeds when the output has a matching line
matches() { local re=$1 out; shift; out=$("$@" 2>&1) || { echo "$out"; return 1; }; grep -qE -- "$re" <<<"$out" || { echo "$out"; return 1; }; }
not_matches() { local re=$1 out; shift; out=$("$@" 2>&1) || return 1; ! grep -qE -- "$re" <<<"$out"; }

summary() {
	echo "1..$((PASSED + FAILED))"
	echo "$PASSED passed, $FAILED failed"
	[ "$FAILED" -eq 0 ]
}
