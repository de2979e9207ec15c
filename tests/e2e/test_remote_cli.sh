#!/usr/bin/env bash
# The command from afar: pub, sub, ls, stat and groups through a bridge take,
# print and return what they do here.
. "$(dirname "$0")/cli_support.sh"
BRIDGE=$SHMQ_BIN_DIR/shmq-bridge
[ -x "$BRIDGE" ] || { echo "skipped: no shmq-bridge was built"; exit 77; }
far=ipc://$DIR/router
"$BRIDGE" --router "$far" --pub none --pull none --log-level error \
    </dev/null >"$DIR/bridge.log" 2>&1 9>&- &
soon "the bridge is there" [ -S "$DIR/router" ]

# -- what --remote takes -------------------------------------------------------
expect 2 create t --remote "$far"
expect 2 pub t --key-file x
expect 2 ls --remote nonsense
SHMQ_REMOTE=$far expect 2 rm t
for command in health doctor top; do
    SHMQ_REMOTE=$far expect 2 $command
    says 'SHMQ_REMOTE: is for pub, sub, ls, stat and groups; unset it'
done
SHMQ_REMOTE=$far expect 0 help pub
check "help tells of the keys" grep -q -- --server-key "$DIR/out"
expect 2 ls --connect-timeout 1s
expect 2 ls --remote "$far" --connect-timeout soon
begin=$SECONDS
expect 9 ls --remote "ipc://$DIR/nobody"
says 'no shmq-bridge answers there'
check "5 s, unless told otherwise" [ $((SECONDS - begin)) -ge 4 ]
expect 9 ls --remote "ipc://$DIR/nobody" --connect-timeout 10ms
# A bridge that comes is waited for.
late=ipc://$DIR/late
"$SHMQ" ls --remote "$late" --connect-timeout 60s >"$DIR/late.out" &
ls=$!
"$BRIDGE" --router "$late" --pub none --pull none --log-level error \
    </dev/null >"$DIR/late.log" 2>&1 9>&- &
bridge=$!
ends 0 $ls "ls of a bridge that came later"
murder $bridge
expect 4 ls --remote "$far" --namespace other
export SHMQ_REMOTE=$far
expect 0 ls
check "an empty namespace prints nothing" [ ! -s "$DIR/out" ]

# -- pub and sub ----------------------------------------------------------------
here() { env -u SHMQ_REMOTE "$SHMQ" "$@"; }
here create t --arena 4M --capacity 16384
here group create t g
for file in "$DATA"/cli/lines_*.txt; do
    for batch in 1 7; do
        expect_in 0 "$file" pub t --batch $batch --no-create
        expect 0 sub t --group g --exit-when-empty --prefetch 64
        # lines end with LF, also the last one
        check "$file comes back" cmp "$DIR/out" <(sed '$a\' "$file")
    done
done
expect_in 0 "$DATA/cli/lines_nul.txt" pub t --positions
check "a position for each" [ "$(sort -n -u "$DIR/out" | wc -l)" = \
    "$(sed '$a\' "$DATA/cli/lines_nul.txt" | wc -l)" ]
here sub t --group g --exit-when-empty >"$DIR/near"
check "read here what was published there" \
    cmp "$DIR/near" <(sed '$a\' "$DATA/cli/lines_nul.txt")
echo hello | "$SHMQ" pub t --key k --header a=b
here sub t --from earliest --exit-when-empty --format json | tail -1 >"$DIR/near"
expect 0 sub t --group g --count 1 --format json
check "json is the same but for the producer's number" cmp \
    <(sed 's/"sequence":[0-9]*//' "$DIR/near") \
    <(sed 's/"sequence":[0-9]*//' "$DIR/out")
"$SHMQ" sub t --from earliest --exit-when-empty --format json >"$DIR/json"
here create u --arena 4M --capacity 16384
expect_in 0 "$DIR/json" pub u --format json --no-create
check "sub | pub is the identity" cmp <(here sub t --from earliest \
    --exit-when-empty) <(here sub u --from earliest --exit-when-empty)

# -- statuses --------------------------------------------------------------------
expect 3 sub t --timeout 100ms
expect 0 sub t --for 100ms
expect 4 sub none --exit-when-empty
expect 4 pub none --no-create
expect 4 stat none
expect 5 sub t --group g --exclusive
expect 5 sub t --group g --max-attempts 3
expect 2 sub t --exclusive
expect 2 sub 'a/*'
here create small --max-message 100
printf 'ok\n%0101d\n' 1 >"$DIR/in"
expect_in 7 "$DIR/in" pub small
says 'stdin:2: .*longer than .*acknowledged 1 of 2, last [0-9]+$'
# 28 bytes of a publish's first record tell whose it is.
printf '%072d\n' 1 >"$DIR/in"
expect_in 0 "$DIR/in" pub small
printf '%0100d\n' 1 >"$DIR/in"
expect_in 7 "$DIR/in" pub small
says 'stdin:1: the record of 100 bytes \(from afar with 28 more for its origin\) is longer than the topic.s 100 bytes'
SHMQ_REMOTE= expect_in 0 "$DIR/in" pub small
here create full --capacity 4 --arena 4K --on-full drop-new
here group create full g
seq 10 >"$DIR/in"
expect_in 7 "$DIR/in" pub full
says '6 records were dropped.*acknowledged 4 of 10'
here create held --capacity 4 --arena 4K
here group create held g
expect_in 3 "$DIR/in" pub held --timeout 500ms
says 'acknowledged 4 of 10'
expect_in 0 "$DIR/in" pub made
says 'made: there was no such topic; created with the defaults'
expect_in 2 "$DIR/in" pub made --wait durable

# -- patterns ---------------------------------------------------------------------
here create p.a
"$SHMQ" sub 'p.*' --format json >"$DIR/json" &
sub=$!
has_reader() { [ "$(here stat "$1" --json | grep -c '"ephemeral"')" = 1 ]; }
soon "p.a is read" has_reader p.a
echo one | "$SHMQ" pub p.a
echo two | "$SHMQ" pub p.b 2>/dev/null
soon "one that is there" grep -q '"p.a".*"one"' "$DIR/json"
soon "one that comes" grep -q '"p.b".*"two"' "$DIR/json"
kill -INT $sub
ends 130 $sub "sub of a pattern"

# -- looking ----------------------------------------------------------------------
# In one moment: what has just ended may be seen by one and not the other.
same_as_here() {
    "$SHMQ" "$@" >"$DIR/far" && here "$@" >"$DIR/near" &&
        cmp "$DIR/near" "$DIR/far"
}
soon "ls is the same" same_as_here ls --json
for command in stat groups; do
    for form in "" --json; do
        soon "$command $form is the same" same_as_here $command t $form
    done
done
finish
