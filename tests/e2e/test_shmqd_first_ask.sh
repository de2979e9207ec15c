#!/usr/bin/env bash
# Who asks shmqd in the moment in which it begins to serve gets an answer. (An
# asker was dropped whose connection was younger than the turn's clock: the
# unsigned age was huge. One create in four failed right after the start.)
set -eu
bin=${SHMQ_BIN_DIR:?}
[ -x "$bin/shmqd" ] || exit 77
work=$(mktemp -d)
export SHMQ_NAMESPACE=ask-$$-$RANDOM
daemon=
clean_up() {
    [ -z "$daemon" ] || kill -9 "$daemon" 2>/dev/null || true
    "$bin/shmq" rm --all --force 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT

for round in $(seq 30); do
    "$bin/shmqd" --data-dir "$work/$round" 2>"$work/log" &
    daemon=$!
    if ! "$bin/shmq" create lines --durability disk; then
        echo "round $round: create failed" >&2
        cat "$work/log" >&2
        exit 1
    fi
    kill "$daemon"
    wait "$daemon"
    daemon=
    "$bin/shmq" rm lines 2>/dev/null
done
