#!/bin/sh
# fuzz_one.sh PROGRAM SECONDS WORK-DIR - runs one libFuzzer program over its kept corpus (fuzz/corpus/NAME) and prints a line.
program=$1 seconds=$2 work=$3
name=$(basename "$program")
kept=fuzz/corpus/${name#fuzz_}
[ -d "$kept" ] || kept=
mkdir -p "$work/corpus/$name"
# shellcheck disable=SC2086
if "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$work/$name-" \
	"$work/corpus/$name" $kept >"$work/$name.log" 2>&1; then
	echo "ok - $name ($(grep -c '' "$work/$name.log") lines; $(sed -n 's/^Done \([0-9]*\) runs.*/\1 runs/p' "$work/$name.log"))"
else
	echo "not ok - $name"
	tail -40 "$work/$name.log"
	exit 1
fi
