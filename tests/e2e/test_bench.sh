#!/usr/bin/env bash
# The latency lab: every mode and transport that is built in, for a moment each;
# the JSON, raw samples and compare; errors and exit statuses; the lab without
# any peer. No times are judged here.
set -u
bench=$SHMQ_BIN_DIR/shmq-bench
[ -x "$bench" ] || {
    echo "the lab is not built here"
    exit 77
}
work=$(mktemp -d)
failed=0
trap 'rm -rf "$work"' EXIT

fail() {
    echo "FAILED: $*"
    failed=1
}

# expect STATUS ARGUMENT... : runs it, output into $work/out and $work/err.
expect() {
    local want=$1
    shift
    timeout 300 "$bench" "$@" >"$work/out" 2>"$work/err" </dev/null
    local got=$?
    [ $got = "$want" ] || fail "shmq-bench $*: status $got, not $want:" \
        "$(tail -n 2 "$work/err")"
}

one_line_about() {
    [ "$(wc -l <"$work/err")" = 1 ] && grep -q -- "$1" "$work/err" ||
        fail "no line about $1: $(cat "$work/err")"
}

short="--quiet --repeats 1 --slice 10ms --kills 1"

# On a busy machine nothing may arrive within so short a time.
no_failures() {
    grep 'failed [0-9]* times' "$work/out" |
        grep -v 'nothing arrived within' &&
        fail "a measurement failed"
}

echo "== figures of every transport and mode"
# shellcheck disable=SC2086 # a list of options
expect 0 run $short --out "$work/run.json" --raw "$work/raw" --dir "$work"
grep -q '^PING-PONG' "$work/out" || fail "no table"
no_failures
for transport in spsc mpmc shared pipe; do
    grep -q "^$transport " "$work/out" || fail "no row of $transport"
    ls "$work/raw/pingpong-$transport-64-samples-1.tsv" >/dev/null ||
        fail "no samples of $transport"
done
grep -qv '^#' "$work/raw/rate-spsc-64-samples-1.tsv" || fail "no sample"
if command -v python3 >/dev/null; then
    python3 - "$work/run.json" <<'PY' || fail "the JSON is not as it should be"
import json, sys
run = json.load(open(sys.argv[1]))
assert run["format"] == "shmq-bench/1"
for key in ("cpu", "mitigations", "governor", "smt", "kernel", "numa_nodes",
            "virtual_machine", "compiler", "flags", "versions"):
    assert str(run["environment"][key]), key
for key in ("steal_s", "involuntary_switches", "load_at_start"):
    assert run["circumstances"][key] >= 0, key
figures = run["figures"]
modes = {f["mode"] for f in figures}
wanted = {"pingpong", "rate", "stream", "solo", "wake", "cost",
          "memory", "ops",
          "kill-producer", "stop-producer", "kill-consumer", "stop-consumer"}
assert wanted <= modes, wanted - modes
# Too few samples for such a quantile: left out, not guessed.
assert not [f for f in figures
            if f["metric"] == "p99.99" and f["samples"] < 1000000]
assert all(f["unit"] and f["values"] is not None for f in figures)
PY
fi

echo "== compare"
expect 0 run --quiet --repeats 8 --modes ops --transports memcpy --out "$work/a"
expect 0 compare "$work/a" "$work/a"
grep -q '^ops *memcpy' "$work/out" || fail "no comparison of runs"
sed 's/"values": \[[^]]*\]/"values": [9e9, 9e9, 9e9, 9e9, 9e9, 9e9, 9e9, 9e9]/' "$work/a" >"$work/b"
expect 1 compare "$work/a" "$work/b"
grep -q 'WORSE' "$work/out" || fail "a slower run is not told"
# Repetitions of different moods of the machine are not compared: on a busy one
# there may be none left.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    expect 0 compare "$bench" "$bench" --quiet --repeats 2 --slice 5ms --modes solo
    grep -q '^solo *spsc' "$work/out" && break
done
grep -q '^solo *spsc' "$work/out" || fail "no comparison of builds"

echo "== threads, fan-in, fan-out, large messages"
# shellcheck disable=SC2086
expect 0 run $short --threads --modes pingpong,stream --transports spsc,shared
# shellcheck disable=SC2086
expect 0 run $short --modes stream --senders 3 --transports mpmc,shared,pipe
# shellcheck disable=SC2086
expect 0 run $short --modes stream --receivers 3 --transports shared,pipe
# shellcheck disable=SC2086
expect 0 run $short --modes pingpong --sizes 8,16M --transports spsc,mpmc-loan
no_failures

echo "== the lab itself"
expect 0 selftest --quiet --modes broken
expect 0 bars --quiet --repeats 1 --bars footprint
grep -Eq '^BAR footprint-spsc: [0-9.]+ \[[0-9.]+\.\.[0-9.]+\] <=1 PASS$' \
    "$work/out" || fail "no bar: $(cat "$work/out")"

echo "== errors"
expect 2
one_line_about "no command"
expect 2 nosuch
one_line_about "nosuch"
expect 2 run --transports nosuch
one_line_about "nosuch"
expect 2 run --modes nosuch
one_line_about "nosuch"
expect 2 run --sizes 7
one_line_about "sizes"
expect 2 run --cpus 4095
one_line_about "4095"
expect 2 bars --bars nosuch
one_line_about "nosuch"
expect 2 run --repeats 0
one_line_about "repeats"
expect 4 compare "$work/no-a" "$work/no-b"
one_line_about "no-a"
echo '{"format": "other"}' >"$work/other.json"
expect 8 compare "$work/other.json" "$work/other.json"
one_line_about "other.json"
expect 1 run --out "$work/no/such" --modes ops --transports memcpy
one_line_about "no/such"
for command in "" run bars compare selftest list; do
    # shellcheck disable=SC2086
    expect 0 $command --help
    grep -q '^usage: ' "$work/out" || fail "no help of '$command'"
done
"$bench" list >/dev/full 2>"$work/err" && fail "a full standard output"
one_line_about "standard output"

echo "== killed"
for transport in spsc boost-mq posix-mq; do
    "$bench" run --quiet --modes stream --slice 20s --repeats 1 \
        --transports $transport >/dev/null 2>&1 &
    pid=$!
    for _ in $(seq 100); do # where it is not shown it is just a moment
        ls /dev/shm /dev/mqueue 2>/dev/null | grep -q "bench-$pid-" && break
        sleep 0.05
    done
    kill -KILL $pid
    wait $pid 2>/dev/null
    for _ in $(seq 1200); do
        ls /dev/shm /dev/mqueue 2>/dev/null | grep -q "bench-$pid-" || break
        sleep 0.05
    done
    ls /dev/shm /dev/mqueue 2>/dev/null | grep "bench-$pid-" &&
        fail "killed with $transport, it left that behind"
done
"$bench" run --quiet --modes stream --slice 20s --transports spsc \
    >/dev/null 2>&1 &
pid=$!
sleep 1
kill -TERM $pid
wait $pid
[ $? = 143 ] || fail "not 143 after SIGTERM"

[ $failed = 0 ] && echo "all as it should be"
exit $failed
