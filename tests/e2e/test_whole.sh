#!/usr/bin/env bash
# The whole: daemon, standby, bridge, remote reader, groups and publishers on
# real lines, one of each kind killed and stopped, every line accounted for.
#     SHMQ_BIN_DIR=build/bin tests/e2e/test_whole.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
bin=${SHMQ_BIN_DIR:?}
[ -x "$bin/shmqd" ] && [ -x "$bin/shmq-bridge" ] || exit 77
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PYTHONDONTWRITEBYTECODE=1 TMPDIR="$work"

fail() {
    echo "test_whole: $*" >&2
    cat "$work/report" "$work/errors" >&2
    exit 1
}

whole() {
    timeout -s KILL 280 python3 "$here/../../tools/demo/whole" --bin "$bin" "$@" \
        >"$work/report" 2>"$work/errors"
}

if [ -n "${SHMQ_REAL_LOGS-}" ]; then
    set -- "$SHMQ_REAL_LOGS"/*
else
    set -- "$here"/../data/logs/*
fi
whole "$@" || fail "status $?"
grep -q '^OK  every acknowledged line reached' "$work/report" || fail "no OK"
# Five readers, each with all lines, none lost, changed or skipped.
[ "$(grep -cE '^(archive|far \(remote\)|desk|on disk|workers) +[0-9,]+ +[0-9,]+ +0 +0 +[0-9]+ +0$' \
    "$work/report")" = 5 ] || fail "a reader is missing or wrong"
[ "$(grep -c 'SIGKILL to' "$work/report")" = 6 ] || fail "not six killed"
[ "$(grep -c 'SIGSTOP to' "$work/report")" = 6 ] || fail "not six stopped"
if find "$work" -mindepth 1 -name 'shmq-whole-*' | grep -q .; then
    fail "left a directory behind"
fi
if find /dev/shm -name 'shmq.whole-*' -newer "$work/errors" | grep -q .; then
    fail "left shared memory behind"
fi

# What is wrong is said in one line.
whole --bin "$work/none" && fail "no programs, but status 0"
[ "$(wc -l <"$work/errors")" = 1 ] || fail "not one line"
whole "$work/missing" && fail "a missing file, but status 0"
grep -q "missing" "$work/errors" || fail "the missing file is not named"
