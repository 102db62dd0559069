#!/bin/sh
# check_layers.sh [SRC] - fails when a folder includes one that tools/layers.txt does not allow it.
# A role includes the shared layers and itself, never another role; the supervisor (cli) may include what roles offer it
# for their end (teardown.h) and for containerd (cni.h).
src=${1:-src}
grep -rnE --include='*.[ch]' '^#include "[a-z0-9_]+/' "$src" | awk -F: -v src="$src/" -v layers="$(dirname "$0")/layers.txt" '
	BEGIN {
		while ((getline line < layers) > 0) {
			n = split(line, w, " ")
			if (n == 0 || w[1] == "#") continue
			known[w[1]] = 1
			for (i = 2; i <= n; i++) may[w[1], w[i]] = 1
		}
	}
	{
		target = $0; sub(/^[^"]*"/, "", target); sub(/".*/, "", target)
		from = substr($1, length(src) + 1)
		nf = split(from, f, "/"); nt = split(target, t, "/")
		if (nf < 2 || !(t[1] in known)) next
		ok = f[1] == t[1] || (f[1], t[1]) in may
		if (f[1] == "roles" && t[1] == "roles" && nt > 2 && f[2] != t[2])
			ok = f[2] == "cli" && (t[3] == "teardown.h" || t[3] == "cni.h")
		if (!ok) { print $1 ":" $2 ": must not include " target; bad = 1 }
	}
	END { exit bad }'
