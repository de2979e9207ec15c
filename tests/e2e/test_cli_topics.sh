#!/usr/bin/env bash
# create, ls, stat and rm.
. "$(dirname "$0")/cli_support.sh"

shm() { ls /dev/shm/shmq."$SHMQ_NAMESPACE".[dcm]."$1" >/dev/null 2>&1; }

# -- create ----------------------------------------------------------------
expect 0 ls
prints_nothing
expect 0 create t
prints_nothing
says_nothing
expect 5 create t
says '^shmq: create: t: exists.*; '
expect 0 create t --if-missing
prints_nothing
says_nothing
expect 0 create t --if-missing --capacity 4096 --arena 256K --max-message 64K \
    --on-full block --durability none --ring mpmc --mode 0600 \
    --data-mode 0600 --max-producers 64 --max-groups 16 --max-members 64
differs() {
    expect 5 create t --if-missing "$1" "$2"
    says "exists with another $1: $3, not $4"
}
differs --capacity 8192 4096 8192
differs --arena 512K 262144 524288
differs --max-message 1K 65536 1024
differs --on-full drop-new block drop-new
differs --on-full drop-old block drop-old
differs --ring spsc mpmc spsc
differs --mode 0640 0600 0640
differs --data-mode 0644 0600 0644
differs --max-producers 3 64 3
differs --max-groups 3 16 3
differs --max-members 3 64 3
stat_has() {
    check "stat $1: $2" grep -qF -- "$2" "$DIR/out"
}
expect 0 stat t --json
for field in '"topic":"t"' "\"namespace\":\"$SHMQ_NAMESPACE\"" \
    '"ring":"mpmc"' '"durability":"none"' '"on_full":"block"' \
    '"capacity_frames":4096' '"arena_bytes":262144' \
    '"max_message_bytes":65536' '"max_producers":64' '"max_groups":16' \
    '"max_members":64' '"mode":"0600"' '"data_mode":"0600"' \
    '"groups":[]' '"endpoints":[]'; do
    stat_has t "$field"
done
expect 0 create all --ring mpmc --capacity 64 --arena 1M --max-message 8K \
    --on-full drop-new --mode 0640 --data-mode 0644 --max-producers 3 \
    --max-groups 5 --max-members 7
expect 0 stat all --json
for field in '"capacity_frames":64' '"arena_bytes":1048576' \
    '"max_message_bytes":8192' '"on_full":"drop-new"' '"max_producers":3' \
    '"max_groups":5' '"max_members":7' '"mode":"0640"' \
    '"data_mode":"0644"'; do
    stat_has all "$field"
done
check "mode of the control file" [ "$(stat -c %a \
    /dev/shm/shmq."$SHMQ_NAMESPACE".c.all)" = 640 ]
check "mode of the data file" [ "$(stat -c %a \
    /dev/shm/shmq."$SHMQ_NAMESPACE".d.all)" = 644 ]
expect 0 create one --ring spsc
expect 0 stat one --json
stat_has one '"ring":"spsc"'
stat_has one '"capacity_bytes":1048576'
stat_has one '"capacity_frames":null'
expect 0 stat one
check "spsc: text shows capacity_bytes" grep -q 'capacity_bytes 1048576' \
    "$DIR/out"
expect 2 create x --ring spsc --capacity 64
says '--capacity'
expect 2 create x --ring spsc --on-full drop-old
expect 2 create x --on-full drop-old --durability os
says '--on-full'
expect 2 create x --on-full drop-old --durability disk
expect 9 create x --durability os
says 'x: .*; '
expect 9 create x --durability disk
expect 2 create x --capacity 100
says 'power of two'
expect 2 create x --capacity 0
expect 2 create x --capacity 1
expect 2 create x --capacity 33554432
expect 2 create x --arena 100000
expect 2 create x --arena 2K
expect 2 create x --arena 16G
expect 2 create x --max-message 128K
says '.'
expect 2 create x --max-message 0
expect 2 create x --max-producers 257
expect 2 create x --max-groups 257
expect 2 create x --max-members 513
check "nothing was left of x" [ -z "$(shm x && echo there)" ]

# Names.
expect 2 create ''
expect 2 create a/b
expect 2 create .hidden
expect 2 create 'a b'
expect 2 create "$(printf 'x%.0s' $(seq 300))"
expect 2 create "$(printf 'a\nb')"
says '.'
expect 0 create "$(printf 'x%.0s' $(seq 128))"
expect 0 create a.b_c-D9

# Not enough room: said at once, nothing left behind. In a /dev/shm of our own.
if unshare -m true 2>/dev/null; then
    cat >"$DIR/small" <<'EOF'
mount -t tmpfs -o size=4m none /dev/shm || exit 77
"$1" create ok --max-message 1K || exit 101
"$1" create huge --ring spsc --arena 8M; [ $? = 7 ] || exit 102
ls /dev/shm | grep -q huge && exit 103
seq 1000 | "$1" pub ok || exit 104
"$1" create wide --arena 4M --max-message 1K || exit 105
seq 10 | "$1" pub wide; [ $? = 7 ] || exit 106
[ "$("$1" sub ok --from earliest --exit-when-empty | tail -1)" = 1000 ] ||
    exit 107
EOF
    unshare -m bash "$DIR/small" "$SHMQ" 2>"$DIR/err"
    got=$?
    check "full /dev/shm: $got" [ $got = 0 -o $got = 77 ]
fi

# -- ls --------------------------------------------------------------------
expect 0 ls
check "ls is sorted" env LC_ALL=C sort -c "$DIR/out"
check "ls has all" [ "$(wc -l <"$DIR/out")" = 5 ]

# -- stat ------------------------------------------------------------------
expect 4 stat none
says '^shmq: stat: none: .*; '
expect 4 groups none
expect 0 groups t
prints_nothing
expect 0 groups t --json
prints '[]'
printf 'ab\ncde\n\n' | "$SHMQ" pub t --batch 3
expect 0 stat t --json
stat_has t '"depth":{"messages":3,"bytes":5}'
stat_has t '"total":{"messages":3,"bytes":5}'
expect 0 stat t
for word in '^topic  *t$' '^ring  *mpmc, 4096 frames' '^on full  *block' \
    '^depth  *3 messages, 5 bytes' '^producers  *0 of 64' \
    '^groups  *0 of 16' '^members  *0 of 64'; do
    check "stat: $word" grep -q "$word" "$DIR/out"
done

# -- rm --------------------------------------------------------------------
expect 4 rm none
says '^shmq: rm: none: .*; '
expect 0 rm none --if-exists
says_nothing
"$SHMQ" pub t <&9 &
producer_is_there() { "$SHMQ" stat t --json | grep -q '"role":"producer"'; }
soon "a producer is there" producer_is_there
pid=$("$SHMQ" stat t --json | grep -o '"pid":[0-9]*' | head -1 | cut -d: -f2)
expect 5 rm t
says "$pid"
expect 0 rm t --force
expect 4 stat t
murder "$pid"
expect 4 rm none one none2
check "rm goes on: one is gone" [ -z "$(shm one && echo there)" ]
check "rm told both" [ "$(wc -l <"$DIR/err")" = 2 ]
expect 0 rm all --data
expect 0 rm --all
expect 0 ls
prints_nothing
expect 0 rm --all
check "no file is left" [ -z "$(ls /dev/shm/shmq."$SHMQ_NAMESPACE".[dcm].* \
    2>/dev/null)" ]

# Not permitted: somebody else's topic.
if [ "$(id -u)" = 0 ] && chown 65534 "$DIR"; then
    expect 0 create t
    chown 65534 /dev/shm/shmq."$SHMQ_NAMESPACE".[dc].t
    expect 6 stat t
    says '^shmq: stat: .*; '
    expect 6 pub t
    expect 6 sub t --timeout 1
    chown 0 /dev/shm/shmq."$SHMQ_NAMESPACE".[dc].t
    expect 0 stat t
    expect 0 rm t
    chown 0 "$DIR"
fi

# Damaged: not by accident.
expect 0 create t
expect 0 create u
head -c 100000 /dev/urandom >/dev/shm/shmq."$SHMQ_NAMESPACE".d.t
head -c 100000 /dev/urandom >/dev/shm/shmq."$SHMQ_NAMESPACE".c.t
expect 8 stat t
says '.'
expect 8 pub t --no-create
expect 8 sub t --timeout 1
expect 8 rm t
expect 8 rm --all
expect 0 ls
prints t
expect 0 rm t --force
: >/dev/shm/shmq."$SHMQ_NAMESPACE".d.z
expect 0 rm z --force

finish
