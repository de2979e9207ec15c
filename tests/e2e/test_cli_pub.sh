#!/usr/bin/env bash
# shmq pub: input, batches, pace, positions, account of failures.
. "$(dirname "$0")/cli_support.sh"

# read TOPIC: all records of it on stdout, from the oldest on.
read_all() { "$SHMQ" sub "$1" --from earliest --exit-when-empty; }
has_record() { read_all "$1" | grep -q "$2"; }

# -- input -----------------------------------------------------------------
: >"$DIR/nothing"
expect_in 0 "$DIR/nothing" pub t
says '^shmq: pub: t: there was no such topic; created with the defaults$'
prints_nothing
expect 0 ls
prints t
expect_in 0 "$DIR/nothing" pub t
says_nothing
printf 'a\nb\r\n\nlast' >"$DIR/in"
expect_in 0 "$DIR/in" pub t
prints_nothing
says_nothing
check "four records" [ "$(stat_number t messages)" = 4 ]
check "their bytes" [ "$(read_all t | od -c | head -3)" = \
    "$(printf 'a\nb\r\n\nlast\n' | od -c)" ]
expect 0 create u
printf '1\n2' >"$DIR/f1"
printf '3\n\n' >"$DIR/f2"
expect 0 pub u --file "$DIR/f1" --file="$DIR/f2" --file "$DIR/nothing"
check "files in order" [ "$(read_all u | paste -sd,)" = "1,2,3," ]
printf 'from stdin\n' >"$DIR/in"
expect_in 0 "$DIR/in" pub u --file "$DIR/f1" --file -
check "a dash is stdin" [ "$(read_all u | tail -1)" = "from stdin" ]
expect 4 pub u --file "$DIR/f1" --file "$DIR/none"
says '^shmq: pub: .*/none: No such file.*acknowledged 0 of 0, last none$'
check "nothing of it was published" [ "$(stat_number u messages)" = 7 ]
expect 1 pub u --file "$DIR"
says 'acknowledged 0 of 0'
if [ "$(id -u)" != 0 ]; then
    chmod 0 "$DIR/f1"
    expect 6 pub u --file "$DIR/f1"
fi

# -- missing topics --------------------------------------------------------
expect 4 pub none --no-create
says '^shmq: pub: .*none.*acknowledged 0 of 0, last none$'
expect 4 stat none
expect_in 2 "$DIR/in" pub u --wait durable
says '^shmq: pub: u: --wait durable .* durability none'
expect_in 2 "$DIR/in" pub u --wait written
says 'durability none'
expect_in 0 "$DIR/in" pub u --wait published --window 1
expect_in 3 "$DIR/in" pub none --wait written --timeout 100ms
says '^shmq: pub: none: .*shmqd.*acknowledged 0 of 0'
expect 4 stat none
timeout 60 "$SHMQ" pub none --wait durable --timeout 2s <"$DIR/in" \
    2>"$DIR/err"
check "a note after 1 s" grep -q 'none: waiting for shmqd' "$DIR/err"

# -- positions -------------------------------------------------------------
expect 0 create p
seq 1000 >"$DIR/in"
expect_in 0 "$DIR/in" pub p --positions
check "one position a line" [ "$(wc -l <"$DIR/out")" = 1000 ]
check "they rise" sort -nuc "$DIR/out"
check "only digits" [ -z "$(grep -v '^[0-9][0-9]*$' "$DIR/out")" ]
expect_in 0 "$DIR/in" pub p --positions --batch 64
check "a position for each of a batch" [ "$(wc -l <"$DIR/out")" = 1000 ]
check "they rise too" sort -nuc "$DIR/out"
expect_in 0 "$DIR/in" pub p --positions --batch 4096
last=$(tail -1 "$DIR/out")
expect 0 sub p --from "$last" --count 1
prints 1000
mkfifo "$DIR/fifo"
"$SHMQ" pub p --positions --batch 100 <"$DIR/fifo" >"$DIR/positions" &
exec 3>"$DIR/fifo"
echo only >&3
soon "the position comes while the input waits" lines_in "$DIR/positions" 1
exec 3>&-
ends 0 $! "pub with positions"

# -- partial batches -------------------------------------------------------
expect 0 create b
"$SHMQ" pub b --batch 1000 <"$DIR/fifo" &
exec 3>"$DIR/fifo"
echo one >&3
soon "a partial batch goes out" has_record b one
printf 'half a line' >&3
echo ' and the rest' >&3
soon "lines may come in pieces" has_record b 'half a line and the rest'
exec 3>&-
ends 0 $! "pub --batch"
expect 0 create frames --capacity 4
seq 400 >"$DIR/in"
expect_in 0 "$DIR/in" pub frames --batch 100
check "400 records in 4 frames" [ "$(stat_number frames messages)" = 400 ]
expect 0 create small --arena 4K --max-message 1K
seq -w 100000 100999 >"$DIR/in"
expect_in 0 "$DIR/in" pub small --batch 1000
says_nothing
check "a batch that does not fit is cut" [ "$(read_all small | tail -1)" = \
    100999 ]

# -- pace ------------------------------------------------------------------
seq 21 >"$DIR/in"
begin=$(date +%s%N)
expect_in 0 "$DIR/in" pub p --rate 50 --batch 8
took=$((($(date +%s%N) - begin) / 1000000))
check "21 records at 50/s take 0.4 s, not $took ms" \
    [ $took -ge 390 -a $took -lt 60000 ]
seq 3 >"$DIR/in"
begin=$(date +%s%N)
expect_in 0 "$DIR/in" pub p --rate 2.5
took=$((($(date +%s%N) - begin) / 1000000))
check "3 records at 2.5/s take 0.8 s, not $took ms" \
    [ $took -ge 790 -a $took -lt 60000 ]

# -- too long --------------------------------------------------------------
expect 0 create m --max-message 100
printf 'ok\n%0200d\nnever\n' 0 >"$DIR/in"
for batch in 1 2 100; do
    expect_in 7 "$DIR/in" pub m --batch $batch
    says "^shmq: pub: stdin:2: .*longer than .* 100 .*acknowledged 1 of 2, last [0-9]+\$"
    expect 7 pub m --batch $batch --file "$DIR/f2" --file "$DIR/in"
    says "^shmq: pub: $DIR/in:2: .*acknowledged 3 of 4, last [0-9]+\$"
done
check "the earlier ones are there" [ "$(read_all m | grep -c ok)" = 6 ]
check "the later ones are not" [ "$(read_all m | grep -c never)" = 0 ]
printf '%0100d' 0 >"$DIR/in"
expect_in 0 "$DIR/in" pub m
printf '%099d\n' 0 >"$DIR/in"
expect_in 0 "$DIR/in" pub m
expect_in 7 "$DIR/in" pub m --key 0123456789
says "^shmq: pub: stdin:1: .*99 bytes and its attributes.*acknowledged 0 of 1"
head -c 3000000 /dev/zero | tr '\0' x >"$DIR/in"
expect_in 7 "$DIR/in" pub m
says "stdin:1"
printf '%0100d%c' 0 x >"$DIR/in"
expect_in 7 "$DIR/in" pub m
printf '\377\377\377\377' >"$DIR/in"
expect_in 7 "$DIR/in" pub m --format length-prefixed
says "stdin:1"

# -- full ------------------------------------------------------------------
expect 0 create full --capacity 4
expect 0 group create full g
seq 10 >"$DIR/in"
expect_in 3 "$DIR/in" pub full --timeout 200ms
says '^shmq: pub: .*full.*g.*acknowledged 4 of 5, last [0-9]+$'
expect_in 3 "$DIR/in" pub full --timeout 0
says 'acknowledged 0 of 1, last none$'
"$SHMQ" pub full <"$DIR/in" &
pub=$!
sleep 0.2
expect 0 sub full --group g --count 14
check "pub went on when there was room" [ "$(tail -1 "$DIR/out")" = 10 ]
ends 0 $pub "pub that waited"
expect 0 create dn --capacity 4 --on-full drop-new
expect 0 group create dn g
seq 10 >"$DIR/in"
expect_in 7 "$DIR/in" pub dn
says '^shmq: pub: dn: .* 6 records were dropped.*acknowledged 4 of 10, last [0-9]+$'
check "stat counts them" [ "$(stat_number dn drop_new)" = 6 ]
expect_in 7 "$DIR/in" pub dn --positions
prints_nothing
expect 0 create do --capacity 4 --on-full drop-old
expect 0 group create do g
expect_in 0 "$DIR/in" pub do
check "drop-old keeps the newest" [ "$(read_all do | tail -1)" = 10 ]

# -- spsc ------------------------------------------------------------------
expect 0 create s --ring spsc --arena 64K --max-message 1K
seq 1000 >"$DIR/in"
expect_in 0 "$DIR/in" pub s --batch 7
check "spsc holds them" [ "$(read_all s | tail -1)" = 1000 ]
"$SHMQ" pub s <"$DIR/fifo" &
exec 3>"$DIR/fifo"
spsc_has_producer() { "$SHMQ" stat s --json | grep -q '"role":"producer"'; }
soon "the producer is there" spsc_has_producer
expect_in 5 "$DIR/in" pub s
says "$!"
exec 3>&-
ends 0 $! "spsc pub"
expect 0 create two --max-producers 1
"$SHMQ" pub two <"$DIR/fifo" &
exec 3>"$DIR/fifo"
two_has_producer() { "$SHMQ" stat two --json | grep -q '"role":"producer"'; }
soon "the producer is there" two_has_producer
expect_in 7 "$DIR/in" pub two
says '.'
murder $!
exec 3>&-
expect_in 0 "$DIR/in" pub two

# -- bad input -------------------------------------------------------------
bad_json() {
    printf '{"payload":"fine"}\n%s\n' "$1" >"$DIR/in"
    expect_in 8 "$DIR/in" pub p --format json
    says '^shmq: pub: stdin:2: .*acknowledged 1 of 2, last [0-9]+$'
}
for j in '{}' '[]' 'x' '{"payload":1}' '{"payload":"x"} x' \
    '{"payload":"x",}' '{"payload":"\ud800"}' '{"payload":"\x"}' \
    '{"payload":"a","payload_base64":"YQ=="}' '{"payload_base64":"YQ="}' \
    '{"payload_base64":"YR=="}' '{"payload":"x","n":01}' \
    '{"payload":"x","n":+1}' '{"payload":"x","n":[1,]}' '{"payload":"x"' \
    '{"payload":"x","headers":[]}' '{"payload":"x","headers":{"":"x"}}' \
    '{"payload":"x","headers":{"a":1}}' '{"payload":"x","key":"a","key":"b"}' \
    '{"payload":"x","n":nul}' '{"payload":"x" "n":1}' \
    "$(printf '{"payload":"\377"}')" "$(printf '{"payload":"a\tb"}')"; do
    bad_json "$j"
done
printf '\003\0\0\0abc\001\0' >"$DIR/in"
expect_in 8 "$DIR/in" pub p --format length-prefixed
says '^shmq: pub: stdin:2: .*acknowledged 1 of 2'
"$SHMQ" pub p <&- 2>"$DIR/err"
check "closed stdin: status 1" [ $? = 1 ]
says 'stdin'

# -- topic removed while in use --------------------------------------------
expect 0 create gone
"$SHMQ" pub gone <"$DIR/fifo" 2>"$DIR/err" &
exec 3>"$DIR/fifo"
echo 1 >&3
soon "the first is there" has_record gone 1
expect 0 rm gone --force
echo 2 >&3
exec 3>&-
wait $!
check "pub of a removed topic: status 1" [ $? = 1 ]

finish
