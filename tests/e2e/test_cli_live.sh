#!/usr/bin/env bash
# top, events, doctor and health.
. "$(dirname "$0")/cli_support.sh"

# -- events ------------------------------------------------------------------
# Wrong usage first.
expect 2 events now
expect 2 events --interval 1us
says 'interval'
expect 2 events --count 0
expect 0 events --for 0.05
prints_nothing
expect 3 events --timeout 0.1
says 'nothing happened'

"$SHMQ" create old
"$SHMQ" events >"$DIR/events" 2>"$DIR/events.err" &
events=$!
soon "events watches" catches_signals $events
# has PATTERN...: one line of the events holds all of them.
has() {
    local lines
    lines=$(cat "$DIR/events")
    while [ $# -gt 0 ]; do
        lines=$(grep -E -- "$1" <<<"$lines") || return 1
        shift
    done
}
"$SHMQ" create t --capacity 4 --arena 4K --max-message 1K --on-full drop-new
soon "topic made" has '"event":"topic_made"' '"topic":"t"'
"$SHMQ" group create t g
soon "group made" has '"event":"group_made"' '"topic":"t","group":"g","kind":"shared"'
"$SHMQ" pub t <&9 &
producer=$!
soon "a producer joined" has '"event":"joined"' "\"role\":\"producer\",\"pid\":$producer"
printf 'a\nb\n' | "$SHMQ" pub t
"$SHMQ" sub t --group g --ack none >"$DIR/sub" &
member=$!
soon "a member joined" has '"event":"joined"' "\"pid\":$member" '"group":"g"'
soon "it holds a record" lines_in "$DIR/sub" 1
murder $member
soon "it died" has '"event":"died"' "\"pid\":$member"
check "nobody has reaped it" [ "$(grep -c '"event":"reaped"' "$DIR/events")" = 0 ]
expect 0 sub t --group g --exit-when-empty --timeout 60
soon "it was reaped" has '"event":"reaped"' "\"pid\":$member"
soon "redelivered" has '"event":"redelivered"' '"group":"g","messages":[12],"total":[12]'
"$SHMQ" sub t --group g >/dev/null &
member=$!
soon "a member joined" has '"event":"joined"' "\"pid\":$member"
kill -TERM $member
ends 143 $member "sub after SIGTERM"
soon "it left in order" has '"event":"left"' "\"pid\":$member"
check "it did not die" [ "$(grep '"event":"died"' "$DIR/events" | grep -c "\"pid\":$member")" = 0 ]
seq 9 | "$SHMQ" pub t 2>/dev/null
soon "dropped" has '"event":"dropped"' '"reason":"drop_new"'
murder $producer
soon "the producer died" has '"event":"died"' "\"pid\":$producer"
"$SHMQ" group rm t g
soon "group removed" has '"event":"group_removed"' '"group":"g"'
# One that dies and is reaped within one look is told, too; and one that is
# made and removed.
"$SHMQ" create brief
"$SHMQ" rm brief
soon "brief topic made" has '"event":"topic_made"' '"topic":"brief"'
soon "brief topic removed" has '"event":"topic_removed"' '"topic":"brief"'
"$SHMQ" rm t --force
soon "topic removed" has '"event":"topic_removed"' '"topic":"t"'
check "what was there at the start is not told" [ "$(grep -c '"topic":"old"' "$DIR/events")" = 0 ]
kill -INT $events
ends 130 $events "events after SIGINT"
check "events says nothing" [ ! -s "$DIR/events.err" ]

# A slow looker sees one that died and was reaped between two looks.
"$SHMQ" create s
"$SHMQ" events --topic s --interval 1s >"$DIR/events" &
events=$!
soon "events watches" catches_signals $events
"$SHMQ" sub s --group g >/dev/null &
member=$!
soon "a member is there" has_members s 1
soon "it joined" has '"event":"joined"' "\"pid\":$member"
murder $member
expect 0 sub s --group g --exit-when-empty --timeout 60
soon "died" has '"event":"died"' "\"pid\":$member"
soon "reaped" has '"event":"reaped"' "\"pid\":$member"
check "it did not leave" [ "$(grep '"event":"left"' "$DIR/events" | grep -c "\"pid\":$member")" = 0 ]
"$SHMQ" create other
"$SHMQ" rm s
soon "topic removed" has '"event":"topic_removed"' '"topic":"s"'
check "only the topic asked for" [ "$(grep -c '"topic":"other"' "$DIR/events")" = 0 ]
murder $events
"$SHMQ" rm --all

# A gap: a lapped reader counts what it lost.
"$SHMQ" create lap --capacity 4 --arena 4K --max-message 1K --on-full drop-old
"$SHMQ" group create lap g
"$SHMQ" events --topic lap >"$DIR/events" &
events=$!
soon "events watches" catches_signals $events
seq 20 | "$SHMQ" pub lap
"$SHMQ" sub lap --group g --exit-when-empty --timeout 60 >/dev/null 2>&1
soon "gap" has '"event":"gap"' '"reason":"dropped","frames":16'
murder $events
"$SHMQ" rm --all --force

# Closed stdout, and a count.
"$SHMQ" events --count 2 >"$DIR/events" &
events=$!
soon "events watches" catches_signals $events
for i in 1 2 3; do "$SHMQ" create c$i; done
ends 0 $events "events --count 2"
check "two lines" [ "$(wc -l <"$DIR/events")" = 2 ]
mkfifo "$DIR/pipe"
"$SHMQ" events >"$DIR/pipe" &
events=$!
exec 8<"$DIR/pipe"
exec 8<&-
ends 141 $events "events into a closed pipe"
"$SHMQ" rm --all

# -- top -----------------------------------------------------------------------
expect 2 top --interval 1ms
expect 2 top ../x
says "top: topic '../x': not a legal name; use "
expect 2 events --topic "a b"
says "not a legal name"
expect 0 top nothing --count 1
check "a topic that is not there" grep -q '^nothing  *is not there$' "$DIR/out"
expect 0 top --count 1
check "an empty namespace" [ "$(wc -l <"$DIR/out")" = 3 ]
"$SHMQ" create t --capacity 16
"$SHMQ" create u --ring spsc
"$SHMQ" group create t g
expect 0 top --count 1
check "t is shown" grep -q '^t  *mpmc ' "$DIR/out"
check "u is shown" grep -q '^u  *spsc ' "$DIR/out"
check "g is shown" grep -q '^  g  *shared ' "$DIR/out"
check "no escapes without a terminal" [ "$(grep -c $'\x1b' "$DIR/out")" = 0 ]
expect 0 top t --count 1
check "only t" [ "$(grep -c '^u ' "$DIR/out")" = 0 ]
# Rates: 200 a second for a while, nobody reads.
"$SHMQ" rm t --force
"$SHMQ" create t
"$SHMQ" group create t g
yes x | head -20000 | "$SHMQ" pub t --rate 200 &
pub=$!
published() { [ "$(stat_number t messages)" -gt 20 ]; }
soon "records come" published
expect 0 top --count 2 --interval 500ms --json
check "two looks" [ "$(wc -l <"$DIR/out")" = 2 ]
# (A busy machine publishes less now and more then.)
about_200() {
    local rate
    "$SHMQ" top --count 2 --interval 500ms --json >"$DIR/looks"
    rate=$(tail -1 "$DIR/looks" |
        grep -o '"topic":"t","messages_per_second":[0-9]*')
    rate=${rate##*:}
    [ "$rate" -gt 100 ] && [ "$rate" -lt 300 ]
}
soon "about 200 a second" about_200
check "no rate at the first look" grep -q '"topic":"t","messages_per_second":0' <(head -1 "$DIR/out")
lag=$(tail -1 "$DIR/out" | grep -o '"lag_messages":[0-9]*')
check "the group lags: $lag" [ "${lag##*:}" -gt 20 ]
latency=$(tail -1 "$DIR/out" | grep -o '"latency_seconds":[0-9]*\.[0-9]*')
check "it is late: $latency" grep -qE ':0\.[0-9]*[1-9]|:[1-9]' <<<"$latency"
murder $pub
# Who holds up whom.
"$SHMQ" create full --capacity 4 --arena 4K --max-message 1K
"$SHMQ" sub full --group slow --exclusive >/dev/null &
reader=$!
soon "a reader is there" has_members full 1
kill -STOP $reader
seq 9 | "$SHMQ" pub full &
pub=$!
held() { "$SHMQ" top full --count 1 | grep -q "held up by pid $reader, stopped"; }
soon "top names who holds up" held
expect 0 top full --count 1 --json
check "json names it" grep -q "\"pid\":$reader,\"state\":\"stopped\",\"group\":\"slow\",\"producers\":1" "$DIR/out"

# -- health and doctor ----------------------------------------------------------
expect 1 health
check "health says who" grep -q "^bad  *held-up: full: 1 producers wait for pid $reader, stopped" "$DIR/out"
check "health says what to do" grep -q 'held-up.*evict' "$DIR/out"
expect 1 health --json
check "health json" grep -q '^{"status":"degraded","findings":\[' "$DIR/out"
expect 1 doctor
check "doctor says who" grep -q "^bad  *held-up: .*pid $reader" "$DIR/out"
"$SHMQ" events --topic full >"$DIR/events" &
events=$!
soon "events watches" catches_signals $events
kill -CONT $reader
ends 0 $pub "the producer goes on"
soon "released" has '"event":"released"' "\"pid\":$reader"
murder $events
murder $reader
soon "health is back" "$SHMQ" health
expect 0 health
prints_nothing
says_nothing
# A group without members.
seq 9 | "$SHMQ" pub full --timeout 0.2 2>/dev/null
expect 1 health
check "no member" grep -q 'held-up: full: is full, and group slow has no member' "$DIR/out"
"$SHMQ" group rm full slow
expect 0 health
# A dead endpoint is a hint only.
"$SHMQ" sub t --group h >/dev/null &
member=$!
soon "a member is there" has_members t 1
murder $member
expect 0 doctor
check "dead is told" grep -q "^hint  *dead: t: pid $member died as member" "$DIR/out"
for what in shm-room shm-kind shm-create limit-files kernel-locks \
    kernel-wipe-on-fork kernel-pidfd kernel-membarrier proc logind leftovers; do
    check "doctor looks at $what" grep -qE "^(ok|hint) +$what: " "$DIR/out"
done
# Leftovers and damage.
"$SHMQ" rm --all --force
: >/dev/shm/shmq."$SHMQ_NAMESPACE".c.half
expect 0 doctor
check "leftover" grep -q '^hint  *leftover: control file of topic half' "$DIR/out"
rm /dev/shm/shmq."$SHMQ_NAMESPACE".c.half
"$SHMQ" create t
printf x | dd of=/dev/shm/shmq."$SHMQ_NAMESPACE".d.t bs=1 conv=notrunc 2>/dev/null
expect 1 health
check "damaged" grep -q '^bad  *damaged: t: .*; shmq rm --force' "$DIR/out"
expect 0 rm t --force
# Durable by its header, without the watermarks that shmqd makes.
"$SHMQ" create t
for file in d c; do
    printf '\001' | dd of=/dev/shm/shmq."$SHMQ_NAMESPACE".$file.t bs=1 seek=52 \
        conv=notrunc 2>/dev/null
done
expect 1 health
check "no watermarks" grep -q '^bad  *damaged: t: ' "$DIR/out"
expect 1 doctor
expect 0 rm t --force
expect 0 health
expect 2 health --namespace 'a b'

# Other hosts' troubles, in a mount namespace and under limits of our own.
if unshare -m true 2>/dev/null; then
    cat >"$DIR/tight" <<'EOF'
mount -t tmpfs -o size=2m none /dev/shm || exit 77
head -c 1300000 /dev/zero >/dev/shm/fill
"$1" health >"$2/out"; [ $? = 1 ] || exit 101
grep -q '^bad  *shm-room: 0 MiB of 2 MiB free; .*remount' "$2/out" || exit 102
"$1" doctor >"$2/out"; [ $? = 1 ] || exit 103
rm /dev/shm/fill
chmod 0777 /dev/shm
"$1" doctor | grep -q '^hint  *shm-mode: mode 0777; chmod 1777' || exit 104
mount -t tmpfs -o ro none /dev/shm
"$1" doctor >"$2/out"; [ $? = 1 ] || exit 105
grep -q '^bad  *shm-create: ' "$2/out" || exit 106
mount -t tmpfs none /run || exit 77
mkdir -p /run/systemd/seats /run/systemd/logind.conf.d
setpriv --reuid 4242 "$1" doctor | grep -q '^hint  *logind: RemoveIPC=yes; set' ||
    exit 107
printf '[Login]\nRemoveIPC=no\n' >/run/systemd/logind.conf.d/a.conf
setpriv --reuid 4242 "$1" doctor | grep -q '^ok  *logind: RemoveIPC=no' || exit 108
EOF
    unshare -m bash "$DIR/tight" "$SHMQ" "$DIR" 2>"$DIR/err"
    got=$?
    check "troubles of a host: $got" [ $got = 0 -o $got = 77 ]
fi
(ulimit -n 100 && "$SHMQ" doctor) >"$DIR/out"
check "few descriptors" grep -q '^hint  *limit-files: 100; ulimit -n' "$DIR/out"

finish
