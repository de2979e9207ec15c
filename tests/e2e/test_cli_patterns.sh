#!/usr/bin/env bash
# sub 'user.*': many topics at once, new ones as they come.
. "$(dirname "$0")/cli_support.sh"

expect 4 sub 'user.*' --exit-when-empty
says "^shmq: sub: user\.\*: no topic matches; "
expect 3 sub 'user.*' --timeout 0.1
says 'no record came in time'
expect 2 sub 'user/*'
says 'pattern'
expect 0 sub 'user.*' --for 0.1
prints_nothing

# What is there.
for t in user.a user.b other; do
    "$SHMQ" create $t
    echo "$t 1" | "$SHMQ" pub $t
done
"$SHMQ" create user.spsc --ring spsc
echo "user.spsc 1" | "$SHMQ" pub user.spsc
expect 0 sub 'user.*' --group g --exit-when-empty
sort "$DIR/out" >"$DIR/sorted"
check "all that match, nothing else" [ "$(tr '\n' ',' <"$DIR/sorted")" = \
    "user.a 1,user.b 1,user.spsc 1," ]
expect 0 sub 'user.*' --group g --exit-when-empty
prints_nothing
expect 0 sub 'user.*' --from earliest --exit-when-empty
check "without a group, too" [ "$(sort "$DIR/out" | cmp - "$DIR/sorted" && echo same)" = same ]
expect 0 sub '*.a' --from earliest --exit-when-empty
prints "user.a 1"

# What comes: json names the topic.
"$SHMQ" sub 'user.*' --group h --from latest --format json >"$DIR/json" 2>"$DIR/err" &
sub=$!
soon "three members" has_members user.spsc 1
"$SHMQ" create user.new
echo "new 1" | "$SHMQ" pub user.new
soon "a new topic is picked up" grep -q '"topic":"user.new".*"payload":"new 1"' "$DIR/json"
echo "b 2" | "$SHMQ" pub user.b
soon "an old one is still read" grep -q '"topic":"user.b".*"payload":"b 2"' "$DIR/json"
# One that is removed is left; it may come back.
"$SHMQ" rm user.new --force
"$SHMQ" create user.new
echo "new 2" | "$SHMQ" pub user.new
soon "it came back" grep -q '"topic":"user.new".*"payload":"new 2"' "$DIR/json"
echo "a 2" | "$SHMQ" pub user.a
soon "the others went on" grep -q '"topic":"user.a".*"payload":"a 2"' "$DIR/json"
check "nothing else came" [ "$(wc -l <"$DIR/json")" = 4 ]
kill -TERM $sub
ends 143 $sub "sub after SIGTERM"
says_nothing
check "nobody is left" has_members user.a 0

# --count over all topics, nothing beyond it is taken.
for i in 1 2 3; do
    for t in user.a user.b; do echo "$t $i" | "$SHMQ" pub $t; done
done
for t in user.a user.b; do "$SHMQ" group create $t c --from earliest; done
expect 0 sub 'user.*' --group c --count 5 --from earliest
check "five records" [ "$(wc -l <"$DIR/out")" = 5 ]
check "nothing beyond is held or done" [ "$("$SHMQ" groups user.a --json |
    grep -o '"group":"c".*' | grep -o '"claimed":[0-9]*' | head -1)" = '"claimed":0' ]
expect 0 sub 'user.*' --group c --exit-when-empty
check "the rest comes later" [ "$(wc -l <"$DIR/out")" = 7 ]

# A topic that cannot be read is told, the others are read.
"$SHMQ" rm user.spsc
if [ "$(id -u)" = 0 ]; then
    "$SHMQ" create user.foreign
    chown 65534 /dev/shm/shmq."$SHMQ_NAMESPACE".[dc].user.foreign
    expect 0 sub 'user.*' --group f --exit-when-empty
    says 'user.foreign: left out: '
    check "the others are read" grep -q 'user.a 1' "$DIR/out"
    chown 0 /dev/shm/shmq."$SHMQ_NAMESPACE".[dc].user.foreign
    "$SHMQ" rm user.foreign
fi
# Dead letters only when asked for by name.
expect 4 sub '*.dead' --exit-when-empty

# Two share all topics.
for t in user.a user.b user.new; do "$SHMQ" group create $t pair --from latest; done
"$SHMQ" sub 'user.*' --group pair >"$DIR/one" &
one=$!
"$SHMQ" sub 'user.*' --group pair >"$DIR/two" &
two=$!
soon "two members" has_members user.new 2
for t in user.a user.b user.new; do seq 1 50 | sed "s/^/$t /" | "$SHMQ" pub $t; done
all_there() { [ "$(cat "$DIR/one" "$DIR/two" | wc -l)" -ge 150 ]; }
soon "all arrive" all_there
check "each once" [ "$(sort -u "$DIR/one" "$DIR/two" | wc -l)" = 150 ]
murder $one
murder $two

finish
