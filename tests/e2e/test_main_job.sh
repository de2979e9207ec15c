#!/usr/bin/env bash
# The main job: lines of log files through two groups while processes are
# killed, and while they are stopped. On the project's own small logs, and on
# those in $SHMQ_REAL_LOGS when it is set.
#     SHMQ_BIN_DIR=build/bin tests/e2e/test_main_job.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
demo=${SHMQ_BIN_DIR:?}/shmq-demo
[ -x "$demo" ] || exit 77
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "test_main_job: $*" >&2
    exit 1
}

# expect WANT KEY: the JSON report says "KEY":WANT, wherever KEY stands.
expect() {
    local found
    found=$(grep -o "\"$2\":[^,}]*" "$work/report" | sort -u)
    [ "$found" = "\"$2\":$1" ] || fail "$label: $2 should be $1: $found"
}

at_least() {
    local found
    found=$(grep -o "\"$2\":[0-9]*" "$work/report" | cut -d: -f2 |
        sort -n | tail -1)
    [ "${found:-0}" -ge "$1" ] ||
        fail "$label: $2 should be at least $1: $found"
}

run() { # LABEL ARGUMENT...
    label=$1
    shift
    "$demo" --json --quiet "$@" >"$work/report" 2>"$work/errors" || {
        cat "$work/report" "$work/errors" >&2
        fail "$label: exit status not 0"
    }
    [ ! -s "$work/errors" ] || fail "$label: $(cat "$work/errors")"
    expect true ok
    expect 0 lost
    expect 0 torn
    expect 0 order_violations
    expect 0 unflagged_duplicates
    expect 0 left_behind
    published=$(grep -o '"published":[0-9]*' "$work/report" | cut -d: -f2)
    expect "$published" delivered
    at_least 1 redelivered
    echo "ok: $label: $published lines"
}

stopped() {
    expect true delayed_nobody
    at_least 1 stale
    grep -q 'held up by group slow, pid [0-9]* ([^)]*), stopped' \
        "$work/report" ||
        fail "$label: the stopped reader is not named"
}

own=("$here"/../data/logs/*.log)
run "own logs, killed" "${own[@]}"
run "own logs, killed, one round" --rounds 1 "${own[@]}"
run "own logs, killed, single lines, many processes" --rounds 100 --batch 1 \
    --producers 6 --workers 5 "${own[@]}"
run "own logs, stopped" --stop --rounds 200 "${own[@]}"
stopped

if [ -n "${SHMQ_REAL_LOGS:-}" ]; then
    real=("$SHMQ_REAL_LOGS"/*.log)
    run "real logs, killed" "${real[@]}"
    run "real logs, stopped" --stop "${real[@]}"
    stopped
fi

run "text found on this machine" --rounds 1

# An interrupted run leaves nothing behind either.
"$demo" --rounds 100000 "${own[@]}" >/dev/null 2>&1 &
pid=$!
sleep 0.5
kill -TERM $pid
status=0
wait $pid || status=$?
[ $status -eq 143 ] || fail "SIGTERM: exit status $status, not 143"
left=$(find /dev/shm -maxdepth 1 -name "shmq.demo-$pid-*")
[ -z "$left" ] || fail "SIGTERM: left behind: $left"

status=0
"$demo" /nonexistent 2>/dev/null || status=$?
[ $status -eq 4 ] || fail "missing file: exit status $status, not 4"
status=0
"$demo" --rounds 0 2>/dev/null || status=$?
[ $status -eq 2 ] || fail "usage: exit status $status, not 2"
"$demo" --help | grep -q -- --stop || fail "--help"
