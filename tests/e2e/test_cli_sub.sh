#!/usr/bin/env bash
# shmq sub: groups, where to start, when to end.
. "$(dirname "$0")/cli_support.sh"

publish() { # TOPIC LINE...
    local topic=$1
    shift
    printf '%s\n' "$@" | "$SHMQ" pub "$topic"
}
joined() { paste -sd, "$DIR/out"; }

# -- ephemeral -------------------------------------------------------------
expect 0 create t
publish t 1 2 3
expect 0 sub t --from earliest --exit-when-empty
prints "$(printf '1\n2\n3')"
says_nothing
expect 0 sub t --exit-when-empty
prints_nothing
expect 0 sub t --from latest --exit-when-empty
prints_nothing
expect 0 groups t --json
prints '[]'
"$SHMQ" sub t --count 2 >"$DIR/latest" &
reads() { "$SHMQ" stat "$1" --json | grep -q '"role":"ephemeral"'; }
soon "the reader is there" reads t
publish t 4 5 6
ends 0 $! "sub --count"
check "from latest" [ "$(paste -sd, "$DIR/latest")" = 4,5 ]

# -- where to start --------------------------------------------------------
expect 0 create f
printf '%s\n' a b c >"$DIR/in"
expect_in 0 "$DIR/in" pub f --positions
second=$(sed -n 2p "$DIR/out")
third=$(sed -n 3p "$DIR/out")
expect 0 sub f --from "$second" --exit-when-empty
prints "$(printf 'b\nc')"
expect 0 sub f --from "$((second + 1))" --exit-when-empty
prints c
expect 0 sub f --from "$((third + 1))" --exit-when-empty
prints_nothing
expect 0 sub f --from 0 --count 1
prints a
expect 0 sub f --from -1h --count 3
prints "$(printf 'a\nb\nc')"
sleep 0.1
now=$(date -u +%Y-%m-%dT%H:%M:%S.%NZ)
sleep 0.1 # times of records have the resolution of a clock tick
publish f d
expect 0 sub f --from "$now" --exit-when-empty
prints d
expect 0 sub f --from "@$(date +%s)" --exit-when-empty
expect 0 sub f --group byposition --from "$second" --exit-when-empty
prints "$(printf 'b\nc\nd')"
expect 0 sub f --group bytime --from "$now" --exit-when-empty
prints d
expect 0 sub f --group bylatest --from latest --exit-when-empty
prints_nothing
expect 0 sub f --group first --exit-when-empty
prints "$(printf 'a\nb\nc\nd')"
expect 0 sub f --group first --from earliest --exit-when-empty
prints_nothing
says '^shmq: sub: f: group first exists and continues where it is'

# -- groups ----------------------------------------------------------------
expect 0 sub t --group g --count 2
prints "$(printf '1\n2')"
expect 0 sub t --group g --exit-when-empty
prints "$(printf '3\n4\n5\n6')"
expect 0 sub t --group g --exit-when-empty
prints_nothing
expect 5 sub t --group g --exclusive --exit-when-empty
says '^shmq: sub: .*; '
expect 0 sub t --group x --exclusive --count 1
prints 1
expect 5 sub t --group x --exit-when-empty
says '.'
"$SHMQ" sub t --group x --exclusive >"$DIR/x" &
first=$!
soon "the exclusive reader has them" lines_in "$DIR/x" 5
expect 5 sub t --group x --exclusive --exit-when-empty
says "$first"
kill -TERM $first
ends 143 $first "the exclusive reader"
expect 0 sub t --group x --exclusive --exit-when-empty
prints_nothing
expect 0 create s --ring spsc
publish s 1 2
expect 0 sub s --group g --exit-when-empty
prints "$(printf '1\n2')"
expect 0 groups s --json
check "groups of spsc are exclusive" grep -q '"kind":"exclusive"' "$DIR/out"
expect 0 sub s --group g --exclusive --exit-when-empty

# Attributes are fixed when the group is made.
expect 0 sub t --group a --lease 1500ms --absent release --max-attempts 3 \
    --dead-letter dead --count 1
expect 0 groups t --json
for field in '"lease_seconds":1.500000000' '"absent":"release"' \
    '"max_attempts":3' '"dead_letter":"dead"'; do
    check "attribute $field" grep -q "\"group\":\"a\"[^}]*$field" "$DIR/out"
done
check "default attributes" grep -q \
    '"group":"g"[^}]*"lease_seconds":0.000000000,"absent":"keep","max_attempts":16,"dead_letter":"@dead.t"' \
    "$DIR/out"
expect 0 sub t --group a --count 1
prints 2
expect 0 sub t --group a --lease 1.5 --count 1
expect 5 sub t --group a --lease 2s --count 1
says 'lease'
expect 5 sub t --group a --absent keep --count 1
says 'absent'
expect 5 sub t --group a --max-attempts 4 --count 1
says 'attempts'
expect 5 sub t --group a --dead-letter other --count 1
says 'dead'

# Two members share, one that is killed loses nothing.
expect 0 create m
seq 2000 >"$DIR/in"
expect 0 group create m g
"$SHMQ" sub m --group g --lease 30s >"$DIR/m0" 2>/dev/null
"$SHMQ" sub m --group g >"$DIR/m1" &
one=$!
"$SHMQ" sub m --group g >"$DIR/m2" &
two=$!
soon "two members" has_members m 2
expect_in 0 "$DIR/in" pub m --rate 4000
murder $one
expect_in 0 "$DIR/in" pub m
drained() { [ "$("$SHMQ" groups m --json | grep -o '"lag_messages":[0-9]*')" = \
    '"lag_messages":0' ]; }
soon "the other one finishes" drained
kill -INT $two
ends 130 $two "the other one"
check "nothing was lost" [ "$(cat "$DIR/m1" "$DIR/m2" | sort -nu | wc -l)" = \
    2000 ]
check "little came twice" [ "$(cat "$DIR/m1" "$DIR/m2" | wc -l)" -le 4200 ]
check "nothing came too seldom" [ "$(cat "$DIR/m1" "$DIR/m2" | wc -l)" -ge \
    4000 ]

# -- when to end -----------------------------------------------------------
expect 3 sub t --timeout 100ms
says '^shmq: sub: t: no record came in time'
prints_nothing
expect 3 sub t --from earliest --count 100 --timeout 500ms
check "--count and --timeout" [ "$(joined)" = 1,2,3,4,5,6 ]
expect 0 sub t --from earliest --for 1s
check "--for" [ "$(joined)" = 1,2,3,4,5,6 ]
says_nothing
expect 0 sub t --from earliest --for 100ms --timeout 60s
expect 3 sub t --from earliest --for 60s --timeout 100ms
expect 0 sub t --from earliest --count 3 --timeout 60s --for 60s
check "--count first" [ "$(joined)" = 1,2,3 ]
expect 0 sub t --from earliest --exit-when-empty --timeout 60s --for 60s
check "--exit-when-empty first" [ "$(joined)" = 1,2,3,4,5,6 ]
expect 0 sub t --from earliest --exit-when-empty --count 100
expect 3 sub t --timeout 0
expect 0 sub t --for 0
# --count in a group: nothing beyond is held or lost, batches or not.
expect 0 create c
seq 100 >"$DIR/in"
expect_in 0 "$DIR/in" pub c --batch 10
: >"$DIR/all"
for n in 1 2 7 30 60; do
    expect 0 sub c --group g --count $n --prefetch 4
    check "--count $n" [ "$(wc -l <"$DIR/out")" = $n ]
    cat "$DIR/out" >>"$DIR/all"
done
check "all of them once" [ "$(sort -n "$DIR/all" | cksum)" = \
    "$(seq 100 | cksum)" ]
expect 3 sub c --group g --count 1 --timeout 50ms
# What another member holds is not empty.
publish c last
mkfifo "$DIR/stuck"
exec 4<>"$DIR/stuck"
head -c 65536 /dev/zero >&4
"$SHMQ" sub c --group g >"$DIR/stuck" &
holder=$!
holds() { "$SHMQ" groups c --json | grep -q '"claimed":1'; }
soon "one holds the record" holds
expect 3 sub c --group g --exit-when-empty --timeout 300ms
prints_nothing
murder $holder
exec 4>&-
expect 0 sub c --group g --exit-when-empty --timeout 60s
prints last

# -- missing topics --------------------------------------------------------
expect 4 sub none --exit-when-empty
says '^shmq: sub: none: .*; '
expect 3 sub none --timeout 100ms
says '^shmq: sub: none: no such topic appeared in time'
expect 3 sub none --timeout 100ms --exit-when-empty
expect 0 sub none --for 100ms --exit-when-empty
says_nothing
expect 0 sub none --for 100ms
"$SHMQ" sub later --group g --count 1 >"$DIR/later" &
sleep 0.1
publish later hello 2>/dev/null
ends 0 $! "sub that waited for its topic"
check "it got the record" [ "$(cat "$DIR/later")" = hello ]
expect 4 sub 'user.*' --exit-when-empty

# -- acknowledging ---------------------------------------------------------
expect 0 create k
publish k 1 2 3
expect 0 sub k --group g --ack none --count 2 --prefetch 8
prints "$(printf '1\n2')"
expect 0 sub k --group g --ack none --exit-when-empty --prefetch 8
prints "$(printf '1\n2\n3')"
expect 0 sub k --group g --ack before --count 1
prints 1
expect 0 sub k --group g --ack before --exit-when-empty
prints "$(printf '2\n3')"
expect 0 sub k --group g --exit-when-empty
prints_nothing
expect 0 sub k --ack none --from earliest --exit-when-empty
prints "$(printf '1\n2\n3')"
expect 0 sub k --ack before --from earliest --exit-when-empty
prints "$(printf '1\n2\n3')"
expect 0 sub k --group x --exclusive --ack none --exit-when-empty
prints "$(printf '1\n2\n3')"
expect 0 sub k --group x --exclusive --exit-when-empty
prints "$(printf '1\n2\n3')"

# -- gaps ------------------------------------------------------------------
expect 0 create gap --capacity 4 --on-full drop-old
seq 4 | "$SHMQ" pub gap
expect 0 group create gap g
seq 5 20 | "$SHMQ" pub gap
expect 0 sub gap --group g --exit-when-empty
check "the newest are there" [ "$(joined)" = 17,18,19,20 ]
says '^shmq: sub: gap: gap from [0-9]+ to [0-9]+: 16 .*dropped$'
expect 0 group reset gap g --to 0
seq 21 30 | "$SHMQ" pub gap
expect 0 sub gap --group g --exit-when-empty --format json
check "a gap in json" grep -qE \
    '^\{"gap":\{"topic":"gap","from":"[0-9]+","to":"[0-9]+","frames":[0-9]+,"messages":([0-9]+|null),"reason":"dropped"\}\}$' \
    "$DIR/out"
check "and the records" [ "$(grep -c '"payload"' "$DIR/out")" = 4 ]

# -- topic removed while in use --------------------------------------------
expect 0 create gone
"$SHMQ" sub gone --group g 2>"$DIR/err" &
soon "a member" has_members gone 1
expect 5 rm gone
says "$!"
expect 0 rm gone --force
ends 1 $! "sub of a removed topic"

finish
