#!/usr/bin/env bash
# shmq groups, group create, reset, rm and evict.
. "$(dirname "$0")/cli_support.sh"

joined() { paste -sd, "$DIR/out"; }
field() { # GROUP KEY: its value in `groups t --json`
    "$SHMQ" groups t --json | grep -o "\"group\":\"$1\"[^}]*" |
        grep -o "\"$2\":[^,]*" | cut -d: -f2-
}

expect 0 create t
expect 4 group create none g
says '^shmq: group create: .*none'
expect 0 group create t g
prints_nothing
says_nothing
expect 5 group create t g
says '^shmq: group create: .*g.*exists.*; '
expect 0 group create t g --if-missing
expect 5 group create t g --if-missing --exclusive
says 'exists with another kind: shared, not exclusive'
expect 5 group create t g --if-missing --lease 3s
says '--lease'
expect 5 group create t g --if-missing --absent release
says 'exists with another --absent: keep, not release'
expect 5 group create t g --if-missing --max-attempts 5
says 'exists with another --max-attempts: 16, not 5'
expect 5 group create t g --if-missing --dead-letter d
says 'exists with another --dead-letter: @dead.t, not d'
expect 0 group create t x --exclusive
expect 0 group create t l --lease 5s --absent release --max-attempts 7 \
    --dead-letter d
expect 0 group create t l --if-missing --lease 5 --absent release \
    --max-attempts 7 --dead-letter d
expect 2 group create t ''
expect 2 group create t a/b
expect 2 group create t "$(printf 'x%.0s' $(seq 300))"

seq 10 | "$SHMQ" pub t
for key in group kind floor lag_messages lag_bytes oldest_unread_seconds \
    members claimed redelivered dead_lettered idle_since; do
    check "groups has $key" [ -n "$(field g $key)" ]
done
check "lag" [ "$(field g lag_messages)" = 10 ]
check "lag_bytes" [ "$(field g lag_bytes)" = 11 ]
check "kind of g" [ "$(field g kind)" = '"shared"' ]
check "kind of x" [ "$(field x kind)" = '"exclusive"' ]
check "lease of l" [ "$(field l lease_seconds)" = 5.000000000 ]
expect 0 groups t
check "a line for each, and a head" [ "$(wc -l <"$DIR/out")" = 4 ]
expect 0 stat t
check "stat shows the groups" grep -q '^g  *shared' "$DIR/out"
expect 0 sub t --group g --count 4
check "lag after 4" [ "$(field g lag_messages)" = 6 ]

# -- from ------------------------------------------------------------------
expect 0 group create t late --from latest
expect 0 sub t --group late --exit-when-empty
prints_nothing
expect 0 group create t hour --from -1h
expect 0 sub t --group hour --count 1
prints 1

# -- reset -----------------------------------------------------------------
expect 0 group reset t g --to earliest
prints_nothing
expect 0 sub t --group g --exit-when-empty
check "reset to earliest" [ "$(joined)" = 1,2,3,4,5,6,7,8,9,10 ]
expect 0 group reset t x --to latest
expect 0 sub t --group x --exclusive --exit-when-empty
prints_nothing
fifth=$("$SHMQ" sub t --from earliest --count 5 --format json | tail -1 |
    grep -o '"position":"[0-9]*"' | grep -o '[0-9]*')
expect 0 group reset t g --to "$fifth"
expect 0 sub t --group g --exit-when-empty
check "reset to a position" [ "$(joined)" = 5,6,7,8,9,10 ]
expect 0 group reset t g --to -1h
expect 0 sub t --group g --count 1
prints 1
expect 0 group reset t l --to earliest
check "attributes stay" [ "$(field l lease_seconds)" = 5.000000000 ]
expect 4 group reset t none --to latest
expect 4 group reset none g --to latest
"$SHMQ" sub t --group x --exclusive >"$DIR/x" 2>"$DIR/xerr" &
member=$!
soon "a member" has_members t 1
expect 5 group reset t x --to earliest
says "$member"
expect 0 group reset t x --to earliest --force
ends 1 $member "the member"
expect 0 sub t --group x --exclusive --exit-when-empty
check "reset by force" [ "$(joined)" = 1,2,3,4,5,6,7,8,9,10 ]

# -- rm --------------------------------------------------------------------
expect 4 group rm t none
expect 4 group rm none g
expect 0 group rm t late
expect 0 group rm t hour
check "gone" [ -z "$(field late kind)" ]
"$SHMQ" sub t --group g >"$DIR/g" 2>"$DIR/gerr" &
member=$!
soon "a member" has_members t 1
expect 5 group rm t g
says "$member"
expect 0 group rm t g --force
ends 1 $member "the member"
check "gone too" [ -z "$(field g kind)" ]
expect 0 group create t g
expect 0 sub t --group g --count 1
prints 1
expect 0 create few --max-groups 2
expect 0 group create few a
expect 0 group create few b
expect 7 group create few c
expect 7 sub few --group c --timeout 1
expect 0 group rm few a
expect 0 group create few c

# -- evict -----------------------------------------------------------------
expect 4 group evict t 4000
says '^shmq: group evict: '
expect 2 group evict t -- -1
expect 4 group evict none 1
endpoint_of() {
    "$SHMQ" stat t --json | grep -o '"id":[0-9]*,"role":"member","pid":'"$1" |
        grep -o '[0-9]*' | head -1
}
"$SHMQ" sub t --group l >"$DIR/l" 2>"$DIR/lerr" &
member=$!
soon "the member" lines_in "$DIR/l" 10
expect 0 group evict t "$(endpoint_of $member)"
ends 1 $member "the evicted one"

# A stopped reader holds producers up, is named, and can be evicted.
expect 0 create full --capacity 8
"$SHMQ" sub full --group g >"$DIR/full" 2>/dev/null &
member=$!
soon "a member" has_members full 1
kill -STOP $member
seq 100 | "$SHMQ" pub full &
pub=$!
named() { "$SHMQ" stat full | grep -q "held up by pid $member, stopped"; }
soon "stat names the stopped one" named
expect 3 pub full --timeout 100ms --file "$DATA/cli/lines_utf8.txt"
says "$member.*stopped"
id=$("$SHMQ" stat full --json | grep -o '"id":[0-9]*,"role":"member"' |
    grep -o '[0-9]*')
"$SHMQ" group evict full "$id" 2>"$DIR/err" || {
    check "evict: BUSY names the pid" grep -q "$member" "$DIR/err"
    expect 0 group evict full "$id" --kill
}
expect 0 sub full --group g --count 100
check "the others go on" [ "$(tail -1 "$DIR/out")" = 100 ]
ends 0 $pub "pub that was held up"
kill -CONT $member 2>/dev/null

# A member whose lease ended says so once, and goes on; the record went to
# another one.
expect 0 create lease
expect 0 group create lease g --lease 200ms
mkfifo "$DIR/pipe"
exec 4<>"$DIR/pipe"
head -c 65536 /dev/zero >&4
"$SHMQ" sub lease --group g >"$DIR/pipe" 2>"$DIR/slowerr" &
slow=$!
soon "a member" has_members lease 1
printf 'one\n' | "$SHMQ" pub lease
claims() { "$SHMQ" groups lease --json | grep -q '"claimed":1'; }
soon "it holds the record, and cannot write it" claims
expect 0 sub lease --group g --count 1 --timeout 60s --format json
check "the other one gets it, flagged" grep -q \
    '"attempt":1,"redelivered":true,.*"payload":"one"' "$DIR/out"
cat <&4 >"$DIR/drained" &
cat=$!
soon "the late one says so" grep -qE \
    '^shmq: sub: lease: the record at [0-9]+ was acknowledged too late' \
    "$DIR/slowerr"
printf 'two\n' | "$SHMQ" pub lease
soon "it goes on" grep -aq two "$DIR/drained"
murder $cat
check "told once" [ "$(wc -l <"$DIR/slowerr")" = 1 ]
expect 0 groups lease --json
check "redeliveries are counted" grep -q '"redelivered":1,' "$DIR/out"
kill -TERM $slow
ends 143 $slow "the slow member"
exec 4>&-

finish
