#!/usr/bin/env bash
# Dead letters, records that expire, and attributes of topics, by the command.
. "$(dirname "$0")/cli_support.sh"

group_number() { # TOPIC GROUP KEY
    "$SHMQ" groups "$1" --json | grep -o "{\"group\":\"$2\"[^}]*" |
        grep -o "\"$3\":[0-9]*" | cut -d: -f2
}

# -- dead letters ----------------------------------------------------------
"$SHMQ" create t
"$SHMQ" group create t g --max-attempts 2
printf 'good 1\npoison\ngood 2\n' | "$SHMQ" pub t --batch 3 --header who=me
expect 0 sub t --group g --count 1
prints "good 1"
for attempt in 1 2; do
    "$SHMQ" sub t --group g --ack none >"$DIR/sub" &
    member=$!
    soon "attempt $attempt" lines_in "$DIR/sub" 1
    check "it is the poison" [ "$(head -1 "$DIR/sub")" = poison ]
    murder $member
done
expect 0 sub t --group g --exit-when-empty --timeout 60
prints "good 2"
check "one was dead-lettered" [ "$(group_number t g dead_lettered)" = 1 ]
check "nothing is left" [ "$(group_number t g lag_messages)" = 0 ]
expect 0 ls
check "the dead letters are listed" grep -qx '@dead.t' "$DIR/out"
expect 0 sub @dead.t --from earliest --exit-when-empty --format json
check "its payload" grep -q '"payload":"poison"' "$DIR/out"
check "its headers" grep -q '"headers":{"who":"me"}' "$DIR/out"
check "its history" grep -qE '"dead_letter":"t [0-9]+ g 2 attempts"' "$DIR/out"
check "only one" [ "$(wc -l <"$DIR/out")" = 1 ]
# Back to where it came from: sub | pub.
"$SHMQ" sub @dead.t --group replay --exit-when-empty --format json |
    "$SHMQ" pub t --format json
expect 0 sub t --group g --exit-when-empty --timeout 60
prints poison

# -- records that expire ------------------------------------------------------
"$SHMQ" create e --ttl 200ms
"$SHMQ" group create e g
printf '1\n2\n3\n' | "$SHMQ" pub e
sleep 0.3
echo 4 | "$SHMQ" pub e
expect 0 sub e --group g --exit-when-empty
prints 4
check "they are counted" [ "$(group_number e g expired)" = 3 ]
expect 0 stat e --json
check "stat counts them" grep -q '"expired_messages":3' "$DIR/out"
check "stat shows the ttl" grep -q '"ttl_seconds":0.200000000,"expired":"skip"' "$DIR/out"
"$SHMQ" create d --ttl 200ms --expired dead-letter
"$SHMQ" group create d g
printf '1\n2\n' | "$SHMQ" pub d
sleep 0.3
expect 0 sub d --group g --exit-when-empty
prints_nothing
expect 0 sub @dead.d --from earliest --exit-when-empty --format json
check "both are there" [ "$(grep -cE '"dead_letter":"d [0-9]+ g 0 expired"' "$DIR/out")" = 2 ]
expect 2 create x --ttl 0
expect 2 create x --ttl 1us
says 'ttl'
expect 2 create x --ttl 1s --timestamps off
expect 2 create x --expired dead-letter
expect 2 create x --expired burn

# -- attributes -----------------------------------------------------------------
expect 0 create s --schema orders:3
expect 0 create s --schema orders:3 --if-missing
expect 5 create s --schema orders:4 --if-missing
says 'exists with another --schema: orders:3, not orders:4'
expect 2 create x --schema orders
echo a | "$SHMQ" pub s --schema orders:3
echo b >"$DIR/in"
expect_in 8 "$DIR/in" pub s --schema orders:4
says 's: its records are of schema orders:3, not orders:4; '
expect 8 sub s --schema orders:4 --timeout 1
expect 0 sub s --schema orders:3 --from earliest --exit-when-empty
prints a
expect 0 sub s --from earliest --exit-when-empty
prints a
expect_in 0 "$DIR/in" pub s2 --schema orders:3
expect 0 stat s2 --json
check "pub gives its schema" grep -q '"schema":"orders:3"' "$DIR/out"
expect 8 sub t --schema orders:3 --timeout 1

expect 0 create off --timestamps off
echo a | "$SHMQ" pub off
expect 0 sub off --from earliest --exit-when-empty --format json
check "no time" grep -q '"time":"1970-01-01T00:00:00.000000000Z"' "$DIR/out"
expect 0 create rec --timestamps record
expect 0 stat rec --json
check "timestamps are shown" grep -q '"timestamps":"record"' "$DIR/out"
expect 5 create rec --timestamps off --if-missing
says 'exists with another --timestamps: record, not off'
expect 2 create x --timestamps sometimes

before=$(stat -c %b /dev/shm/shmq."$SHMQ_NAMESPACE".d.rec)
expect 0 create pre --prefault
after=$(stat -c '%b %s' /dev/shm/shmq."$SHMQ_NAMESPACE".d.pre)
check "prefault reserves all" [ $((${after% *} * 512)) -ge "${after#* }" ]
check "others do not" [ "$before" -lt "${after% *}" ]
expect 0 create huge --huge
expect 0 stat huge --json
check "huge is shown" grep -q '"huge":true' "$DIR/out"
if (ulimit -l unlimited) 2>/dev/null || [ "$(id -u)" = 0 ]; then
    expect 0 create lock --mlock --max-producers 2
    echo a | "$SHMQ" pub lock
    expect 0 sub lock --from earliest --exit-when-empty
    prints a
    expect 5 create rec --mlock --if-missing
    says 'another --mlock: off, not on'
fi
if [ "$(id -u)" = 0 ]; then
    expect 0 create owned --owner 4321 --group-owner 1234 --mode 0660
    check "owners" [ "$(stat -c %u:%g /dev/shm/shmq."$SHMQ_NAMESPACE".c.owned)" = 4321:1234 ]
    check "owners of the data" [ "$(stat -c %u:%g /dev/shm/shmq."$SHMQ_NAMESPACE".d.owned)" = 4321:1234 ]
    expect 6 stat owned
    export SHMQ_TRUSTED_UIDS=4321
    expect 0 stat owned --json
    check "stat shows owners" grep -q '"owner":4321,"group_owner":1234' "$DIR/out"
    expect 0 create owned --owner 4321 --if-missing
    expect 5 create owned --owner root --if-missing
    expect 0 rm owned
    expect 0 create daemons --group-owner daemon --mode 0660
    check "by name" [ "$(stat -c %G /dev/shm/shmq."$SHMQ_NAMESPACE".c.daemons)" = daemon ]
fi
expect 2 create x --owner no-such-user
says 'no user'
expect 2 create x --group-owner no-such-group
says 'no group'
check "nothing was left of x" [ -z "$(ls /dev/shm/shmq."$SHMQ_NAMESPACE".?.x 2>/dev/null)" ]

finish
