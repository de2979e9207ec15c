#!/usr/bin/env bash
# Signals and closed outputs: what is held goes back, and the exit status.
. "$(dirname "$0")/cli_support.sh"

lag() { "$SHMQ" groups t --json | grep -o '"lag_messages":[0-9]*' |
    cut -d: -f2; }
lag_is() { [ "$(lag)" = "$1" ]; }

# -- a signal while idle, for each that counts -----------------------------
expect 0 create t
for sig in INT:130 TERM:143 HUP:129; do
    "$SHMQ" sub t --group g >/dev/null 2>"$DIR/err" &
    soon "a member" has_members t 1
    kill -"${sig%:*}" $!
    ends "${sig#*:}" $! "sub on ${sig%:*}"
    says_nothing
    "$SHMQ" pub t <&9 2>"$DIR/err" &
    pub=$!
    has_producer() { "$SHMQ" stat t --json | grep -q '"role":"producer"'; }
    soon "a producer" has_producer
    kill -"${sig%:*}" $pub
    ends "${sig#*:}" $pub "pub on ${sig%:*}"
    says 'acknowledged 0 of 0, last none'
    "$SHMQ" sub missing >/dev/null 2>"$DIR/err" &
    soon "it waits" catches_signals $!
    kill -"${sig%:*}" $!
    ends "${sig#*:}" $! "sub of a missing topic on ${sig%:*}"
done

# -- pub: what was read completely is published ----------------------------
mkfifo "$DIR/in"
"$SHMQ" pub t --batch 1000 --positions <"$DIR/in" >"$DIR/positions" \
    2>"$DIR/err" &
pub=$!
exec 3>"$DIR/in"
printf '1\n2\n3\nhalf' >&3
soon "three positions" lines_in "$DIR/positions" 3
kill -TERM $pub
ends 143 $pub "pub on TERM"
exec 3>&-
says 'acknowledged 3 of 3, last [0-9]+$'
# while it waits for room
expect 0 create full --capacity 4
expect 0 group create full g
seq 100 | "$SHMQ" pub full 2>"$DIR/err" &
pub=$!
is_full() { "$SHMQ" stat full --json | grep -q '"full":true'; }
soon "full" is_full
kill -INT $pub
ends 130 $pub "pub on INT while it waits for room"
says 'acknowledged 4 of 5, last [0-9]+$'
# while it paces
seq 100 | "$SHMQ" pub t --rate 0.1 2>"$DIR/err" &
pub=$!
soon "it paces" catches_signals $pub
sleep 0.1
kill -TERM $pub
ends 143 $pub "pub on TERM while it paces"

# -- sub: written is acknowledged, the rest goes back ----------------------
expect 0 rm t --force
expect 0 create t
seq 100000 199999 >"$DIR/lines"
expect 0 create big --capacity 65536 --arena 16M
expect 0 group create big g
"$SHMQ" pub big --file "$DIR/lines" --batch 50 --rate 50000 &
pub=$!
: >"$DIR/all"
for i in 1 2 3 4 5; do
    rm -f "$DIR/part"
    "$SHMQ" sub big --group g --prefetch 8 >"$DIR/part" &
    sub=$!
    soon "some are written" test -s "$DIR/part"
    sleep 0.1
    kill -TERM $sub
    ends 143 $sub "sub on TERM, round $i"
    cat "$DIR/part" >>"$DIR/all"
done
ends 0 $pub "the publisher"
expect 0 sub big --group g --exit-when-empty
cat "$DIR/out" >>"$DIR/all"
check "every record exactly once over 6 readers" \
    cmp <(sort "$DIR/all") "$DIR/lines"

# A reader whose output is stuck ends on a signal: the record at hand is
# finished, nothing that was not written is acknowledged.
expect 0 group reset big g --to earliest
mkfifo "$DIR/stuck"
exec 4<>"$DIR/stuck"
"$SHMQ" sub big --group g --prefetch 64 >"$DIR/stuck" &
sub=$!
claimed() { "$SHMQ" groups big --json | grep -q '"claimed":[1-9]'; }
soon "it holds some" claimed
sleep 0.3
kill -TERM $sub
sleep 0.1
cat <"$DIR/stuck" >"$DIR/part" 4>&- &
cat=$!
ends 143 $sub "stuck sub on TERM"
exec 4>&-
wait $cat
check "only whole records were written" \
    [ "$(tail -c 1 "$DIR/part" | od -An -c | tr -d ' ')" = '\n' ]
expect 0 sub big --group g --exit-when-empty
cat "$DIR/part" "$DIR/out" >"$DIR/all"
check "stuck: every record exactly once" cmp <(sort "$DIR/all") "$DIR/lines"
# A second signal does not wait for the record.
expect 0 group reset big g --to earliest
exec 4<>"$DIR/stuck"
"$SHMQ" sub big --group g >"$DIR/stuck" &
sub=$!
soon "it holds some" claimed
sleep 0.2
kill -TERM $sub
sleep 0.1
kill -TERM $sub 2>/dev/null # it may have met the first one between two
ends 143 $sub "stuck sub on two TERMs"
exec 4>&-
# --for does not wait for a stuck output either.
expect 0 group reset big g --to earliest
exec 4<>"$DIR/stuck"
"$SHMQ" sub big --group g --for 300ms --format json >"$DIR/stuck" &
sub=$!
sleep 0.6
cat <"$DIR/stuck" >"$DIR/part" 4>&- &
cat=$!
ends 0 $sub "stuck sub with --for"
exec 4>&-
wait $cat

# -- stdout closed ---------------------------------------------------------
expect 0 group reset big g --to earliest
"$SHMQ" sub big --group g 2>"$DIR/err" | head -n 10 >"$DIR/part"
check "sub | head: 141" [ "${PIPESTATUS[0]}" = 141 ]
says_nothing
check "no claim is left" [ -z "$("$SHMQ" groups big --json |
    grep '"claimed":[1-9]')" ]
expect 0 sub big --group g --exit-when-empty
check "what was not taken came again" [ "$(tail -1 "$DIR/out")" = 199999 ]
# also while there is nothing to write
"$SHMQ" sub t 2>"$DIR/err" | true
check "idle sub | true: 141" [ "${PIPESTATUS[0]}" = 141 ]
says_nothing
"$SHMQ" sub none 2>"$DIR/err" | true
check "waiting sub | true: 141" [ "${PIPESTATUS[0]}" = 141 ]
"$SHMQ" pub t --positions --file "$DIR/lines" 2>"$DIR/err" | head -n 1 \
    >/dev/null
check "pub --positions | head: 141" [ "${PIPESTATUS[0]}" = 141 ]
says_nothing
for c in 'ls' 'stat t' 'groups big' 'ls --json' '--help' '--version'; do
    # shellcheck disable=SC2086
    "$SHMQ" $c >&- 2>"$DIR/err"
    check "$c with closed stdout: 141" [ $? = 141 ]
    says_nothing
done
expect 0 group reset big g --to earliest
"$SHMQ" sub big --group g >&- 2>"$DIR/err"
check "sub with closed stdout: 141" [ $? = 141 ]
says_nothing
expect 0 stat big
"$SHMQ" create made >&- 2>&- <&-
check "create needs no streams" [ $? = 0 ]
expect 0 stat made
"$SHMQ" pub t >&- 2>&- <"$DATA/cli/lines_utf8.txt"
check "pub needs no stdout" [ $? = 0 ]
"$SHMQ" sub big --group g >/dev/full 2>"$DIR/err"
check "sub to a full disk: 7" [ $? = 7 ]
says '^shmq: sub: standard output: No space left'
"$SHMQ" ls >/dev/full 2>"$DIR/err"
check "ls to a full disk: 7" [ $? = 7 ]
expect 0 sub big --group g --count 1
prints 100000
# a reader that is slow and non-blocking
"$SHMQ" sub big --group g --exit-when-empty >"$DIR/part"
expect 0 group reset big g --to earliest
if command -v python3 >/dev/null; then
    "$SHMQ" sub big --group g --exit-when-empty | python3 -c '
import fcntl, os, sys, time
fcntl.fcntl(0, fcntl.F_SETFL, os.O_NONBLOCK)
while True:
    try:
        data = os.read(0, 4096)
    except BlockingIOError:
        time.sleep(0.001)
        continue
    if not data:
        break
    os.write(1, data)
' >"$DIR/part"
    check "non-blocking pipe" cmp "$DIR/part" "$DIR/lines"
fi

finish
