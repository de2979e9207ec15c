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
standby=
clean_up() {
    [ -z "$daemon" ] || kill -9 "$daemon" 2>/dev/null || true
    [ -z "$standby" ] || kill -9 "$standby" 2>/dev/null || true
    "$bin/shmq" rm --all --force 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT

# It asks as long as nobody serves: a daemon may take its time to start.
create() {
    local said
    until said=$("$bin/shmq" create "$1" --durability disk 2>&1); do
        case $said in
        *'shmqd does not run'*) ;;
        *)
            echo "$said" >&2
            return 1
            ;;
        esac
        [ $SECONDS -lt 240 ] || return 1
    done
}

for round in $(seq 30); do
    "$bin/shmqd" --data-dir "$work/$round" 2>"$work/log" &
    daemon=$!
    # Several at once, while another daemon starts: more turns of the loop meet
    # a connection that is younger than their clock.
    "$bin/shmqd" --data-dir "$work/$round" --standby 2>/dev/null &
    standby=$!
    askers=
    for number in 1 2 3 4 5 6; do
        create "lines$number" &
        askers="$askers $!"
    done
    for asker in $askers; do
        if ! wait "$asker"; then
            echo "round $round: create failed" >&2
            cat "$work/log" >&2
            exit 1
        fi
    done
    kill -9 "$standby"
    wait "$standby" 2>/dev/null || true
    standby=
    # Where the standby was the quicker one the other has ended with 75.
    kill "$daemon" 2>/dev/null || true
    status=0
    wait "$daemon" || status=$?
    daemon=
    if [ $status != 0 ] && [ $status != 75 ]; then
        echo "round $round: shmqd ended with $status" >&2
        exit 1
    fi
    "$bin/shmq" rm --all --force 2>/dev/null
done
