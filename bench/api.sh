#!/bin/bash
# The API server under one client program: ConfigMaps created one after another and by 8 connections, read,
# listed and watched, against kube-apiserver on etcd. Writes are durable on both sides, on the same disk.
# Both run side by side and are asked in turns; the median of ROUNDS is shown. Root.
#
#   bench/api.sh
. "$(dirname "$0")/lib.sh"
ROUNDS=${ROUNDS:-3}
OBJECTS=${OBJECTS:-1000}

round() { # SIDE
	local ask=$1_client
	{
		$ask create "$OBJECTS" 1 one
		$ask get "$OBJECTS" one
		$ask list 20
		$ask clear
		$ask create "$OBJECTS" 8 many
		$ask clear
		$ask watch 1 200
		$ask clear
		$ask watch 100 100
		$ask clear
	} | sed "s/^/$1 /" >> "$T/all"
}

# What the disk itself needs for one small durable write, beneath both.
fsync_us() {
	python3 - "$T/fsync" <<-'END'
	import os, sys, time
	fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
	times = []
	for _ in range(200):
	    start = time.perf_counter()
	    os.write(fd, b"x" * 4096)
	    os.fdatasync(fd)
	    times.append(time.perf_counter() - start)
	print("%.0f" % (sorted(times)[100] * 1e6))
	END
}

machine
echo "an appended 4 KiB with fdatasync: $(fsync_us) us"
peer_certs
portico_up || exit 1
peer_up
wait_ready portico
wait_ready peer
for i in $(seq "$ROUNDS"); do
	if [ $((i % 2)) = 1 ]; then round portico; round peer; else round peer; round portico; fi
done

awk '
	{ v[$1, $2, ++n[$1, $2]] = $3 }
	function med(side, what,   i, j, t, k) {
		k = n[side, what]
		for (i = 1; i <= k; i++)
			for (j = i + 1; j <= k; j++)
				if (v[side, what, j] + 0 < v[side, what, i] + 0) {
					t = v[side, what, i]; v[side, what, i] = v[side, what, j]; v[side, what, j] = t
				}
		return v[side, what, int((k + 1) / 2)]
	}
	function row(title, what, more_is_better,   a, b) {
		a = med("portico", what); b = med("peer", what)
		printf "%-44s %10.0f %10.0f   %5.1f x\n", title, a, b, more_is_better ? a / b : b / a
	}
	END {
		printf "%-44s %10s %10s   %s\n", "", "portico", "peer", "better by"
		row("create, one at a time: median, us", "create_1_p50_us")
		row("create, one at a time: p99, us", "create_1_p99_us")
		row("create, one at a time: per second", "create_1_per_s", 1)
		row("create, 8 connections: median, us", "create_8_p50_us")
		row("create, 8 connections: p99, us", "create_8_p99_us")
		row("create, 8 connections: per second", "create_8_per_s", 1)
		row("get: median, us", "get_p50_us")
		row("get: p99, us", "get_p99_us")
		row("list of all, JSON: median, us", "list_p50_us")
		row("list of all: bytes", "list_bytes")
		row("watch, 1 watcher: write to event, median, us", "watch_1_p50_us")
		row("watch, 1 watcher: p99, us", "watch_1_p99_us")
		row("watch, 100 watchers: median event, us", "watch_100_p50_us")
		row("watch, 100 watchers: last event, median, us", "watch_100_last_p50_us")
	}' "$T/all"
