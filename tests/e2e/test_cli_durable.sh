#!/usr/bin/env bash
# Durable topics as the command sees them: levels, shmqd away, history, a stopped
# consumer, retention, removal.
. "$(dirname "$0")/cli_support.sh"
SHMQD=$SHMQ_BIN_DIR/shmqd
[ -x "$SHMQD" ] || {
    echo "test_cli_durable.sh: shmqd is not built: skipped"
    exit 77
}

daemon=
serve() {
    "$SHMQD" --data-dir "$DIR/data" 2>>"$DIR/log" &
    daemon=$!
}
well() { "$SHMQ" health >"$DIR/health"; }

# -- made, published, read --------------------------------------------------
expect 9 create t --durability disk
serve
soon "shmqd answers" "$SHMQ" create t --durability disk --capacity 64 \
    --arena 16K --retain-bytes 1G
expect 5 create t --durability disk
# Its files are those of shmqd's user and groups.
expect 6 create x --durability disk --owner 4321
says "^shmq: create: x: .* runs as \\(uid $(id -u)\\); leave --owner out"
expect 6 create x --durability disk --group-owner 4321
says '^shmq: create: x: .* not in group 4321; add it'
expect 0 create mine --durability os --owner "$(id -u)" --group-owner "$(id -g)"
expect 0 rm mine --data
expect 2 create x --durability os --arena 512M
says '^shmq: create: x: .* at most 256M'
expect 4 stat x
soon "health" well
seq 1 5000 >"$DIR/in"
expect_in 0 "$DIR/in" pub t --positions --window 100
check "a position each" [ "$(wc -l <"$DIR/out")" = 5000 ]
check "positions rise" sort -n -c -u "$DIR/out"
at=$(sed -n 4000p "$DIR/out")
expect 0 stat t --json
for key in '"served":true' '"durable_state":"ok"' '"unflushed_messages":0' \
    '"retain_bytes":1073741824' '"flush_seconds":{"p50":'; do
    check "stat: $key" grep -qF "$key" "$DIR/out"
done
expect 0 sub t --group g --exit-when-empty
check "a group reads what left the ring" cmp -s "$DIR/in" "$DIR/out"
expect 0 sub t --from earliest --read durable --exit-when-empty
check "an ephemeral reader, too" cmp -s "$DIR/in" "$DIR/out"
expect 0 cat t --from "$at" --count 2
prints "4000
4001"
expect 0 cat t --from earliest --to "$at"
check "cat ends before --to" [ "$(wc -l <"$DIR/out")" = 3999 ]
expect 2 pub t --wait never
expect 0 create m
expect_in 2 "$DIR/in" pub m --wait durable

# -- a stopped consumer holds nobody up ---------------------------------------
"$SHMQ" sub t --group slow >"$DIR/slow" 2>"$DIR/slow.err" &
slow=$!
soon "slow reads" lines_in "$DIR/slow" 5000
kill -STOP $slow
seq 5001 15000 >"$DIR/more"
expect_in 0 "$DIR/more" pub t --timeout 60s
kill -CONT $slow
soon "it gets everything" lines_in "$DIR/slow" 15000
check "in order" [ "$(cat "$DIR/in" "$DIR/more" | md5sum)" = \
    "$(md5sum <"$DIR/slow")" ]
check "without a gap" [ ! -s "$DIR/slow.err" ]
kill -TERM $slow
ends 143 $slow "sub ends"

# -- shmqd away ---------------------------------------------------------------
murder $daemon
expect 9 health
seq 15001 15050 >"$DIR/in"
expect_in 3 "$DIR/in" pub t --timeout 2500ms
check "noted" grep -q "waiting for shmqd" "$DIR/err"
check "accounted" grep -q "acknowledged 0 of 50, last none" "$DIR/err"
expect 9 rm t --data
"$SHMQ" pub t --timeout 60s <"$DIR/in" >"$DIR/out" 2>"$DIR/err" &
late=$!
soon "it waits" grep -q "waiting for shmqd" "$DIR/err"
serve
ends 0 $late "published when shmqd is back"
soon "health is back" well
expect 0 sub t --group slow --exit-when-empty
check "both lots, once each" [ "$(wc -l <"$DIR/out")" = 100 ]

# -- a directory that is none of a topic's is not whole --------------------------
for what in ls dump verify repair; do
    expect 4 log $what "$DIR"
    says 'holds no segment files; give the directory of a topic'
done
check "nothing was written there" [ ! -e "$DIR/LOCK" ]

# -- changed, removed ---------------------------------------------------------
expect 0 set t retain-bytes=2G retain-age=1d
expect 2 set t ttl=1s # decisions/0024
expect 4 set nothing retain-bytes=1G
expect 5 rm t
says 'by --data'
expect 0 rm t --data
expect 4 stat t
check "no file is left" [ "$(find /dev/shm -name "shmq.$SHMQ_NAMESPACE.?.t" |
    wc -l)" = 0 ]
kill -TERM $daemon
ends 0 $daemon "shmqd ends"
finish
