#!/usr/bin/env bash
# The command line of shmq: help, options, mistakes, forms of values.
. "$(dirname "$0")/cli_support.sh"

commands="create pub sub ls stat groups group group_create group_reset
group_rm group_evict rm top events doctor health help"

# -- help and version ------------------------------------------------------
expect 0 --version
check "version" grep -qE '^shmq [0-9]+\.[0-9]+\.[0-9]+$' "$DIR/out"
says_nothing
expect 0 --help
cp "$DIR/out" "$DIR/help"
expect 0 help
check "help is --help" cmp "$DIR/out" "$DIR/help"
for c in $commands; do
    c=${c/_/ }
    check "$c is in the list" grep -q "^  $c " "$DIR/help"
    # shellcheck disable=SC2086
    expect 0 $c --help
    says_nothing
    cp "$DIR/out" "$DIR/one"
    for word in "^Usage: shmq $c" "^Options" "^Examples:" "^Exit status" \
        "--namespace NS"; do
        check "$c --help: $word" grep -qe "$word" "$DIR/one"
    done
    # shellcheck disable=SC2086
    expect 0 help $c
    check "help $c is $c --help" cmp "$DIR/out" "$DIR/one"
done
has_options() {
    local command=$1 o
    shift
    "$SHMQ" help $command >"$DIR/one"
    for o in "$@"; do
        check "$command --help: $o" grep -qE -- "^  $o( |\$)" "$DIR/one"
    done
}
has_options create --ring --capacity --arena --max-message --on-full \
    --durability --mode --data-mode --max-producers --max-groups \
    --max-members --asymmetric --if-missing --timestamps --ttl --expired \
    --schema --prefault --mlock --huge --owner --group-owner
has_options pub --file --format --batch --rate --key --header --wait --window \
    --timeout --positions --no-create --schema
has_options sub --group --exclusive --from --ack --prefetch --lease --absent \
    --max-attempts --dead-letter --count --timeout --for --exit-when-empty \
    --format --schema
has_options "group create" --exclusive --from --lease --absent \
    --max-attempts --dead-letter --if-missing
has_options "group reset" --to --force
has_options "group evict" --kill
has_options rm --all --force --if-exists --data
has_options top --interval --count --json
has_options events --topic --interval --count --timeout --for
has_options doctor --json
has_options health --json
for d in 4096 256K 64K 0600 mpmc block none 64 16 1M; do
    "$SHMQ" create --help >"$DIR/one"
    check "create --help: default $d" grep -q "($d)\|($d, \|(.*$d.*)\|$d)" \
        "$DIR/one"
done

# -- mistakes --------------------------------------------------------------
expect 2
says '^shmq: COMMAND: missing; see shmq help$'
prints_nothing
expect 2 pbu t
says '^shmq: pbu: no such command; did you mean pub\?'
expect 2 grups t
says 'did you mean groups\?'
expect 2 group
says '^shmq: group: COMMAND: missing'
expect 2 group rset t g
says 'did you mean group reset\?'
expect 2 help nonsense
says 'no such command'
expect 2 pub t --bacth 3
says '^shmq: pub: --bacth: unknown option; did you mean --batch\?'
expect 2 sub t --exit
says 'did you mean --exit-when-empty\?'
expect 2 --jsn ls
says '^shmq: --jsn: unknown option; did you mean --json\?'
expect 2 ls --rate 3
says '^shmq: ls: --rate: not an option of this command; see shmq help ls'
expect 2 ls --json=yes
says '--json: takes no value'
expect 2 pub t --batch
says '--batch: its value is missing'
expect 2 pub
says '^shmq: pub: TOPIC: an argument is missing'
expect 2 pub a b
says '^shmq: pub: b: one argument too many'
expect 2 rm
says 'TOPIC: missing'
expect 2 rm t --all
says 'not both'
expect 2 group reset t g
says '--to: missing'
expect 2 group evict t x
says 'is no endpoint'
# Of durable topics only.
for o in '--retain-bytes 1G' '--retain-age 1d' '--max-lag-bytes 1G'; do
    # shellcheck disable=SC2086
    expect 2 create t $o
    says 'keeps no history'
done
expect 2 sub t --read written
expect 2 set t
expect 2 set t retain-byte=1
says 'did you mean retain-bytes\?'
expect 2 set t retain-bytes=x
expect 2 set t retain-bytes
expect 2 ls --remote x
expect 2 tops
expect 2 cat
expect 2 cat 't*'
expect 4 cat t

# -- options stand anywhere ------------------------------------------------
expect 0 create t
expect 0 --json ls
prints '["t"]'
expect 0 ls --json
prints '["t"]'
expect 0 --namespace "$SHMQ_NAMESPACE" ls
prints t
expect 0 ls --namespace="$SHMQ_NAMESPACE"
prints t
expect 0 --lease 2s --if-missing group --absent=release create t early
expect 0 groups t --json
check "options before the command" grep -q '"lease_seconds":2.000000000' \
    "$DIR/out"
expect 0 ls --namespace "$SHMQ_NAMESPACE-none"
prints_nothing
expect 0 ls --json --namespace "$SHMQ_NAMESPACE-none"
prints '[]'
expect 2 ls --namespace 'no/slash'
expect 2 ls --namespace ''
expect 2 ls --namespace 123456789012345678901234567890123
(
    export SHMQ_NAMESPACE='bad name'
    "$SHMQ" ls >/dev/null 2>"$DIR/err"
    [ $? = 2 ]
)
check "bad SHMQ_NAMESPACE" [ $? = 0 ]
expect 4 stat -- --json
says '.'

# -- forms of values -------------------------------------------------------
lease() {
    expect 0 group create t "lease$1" --lease "$1"
    expect 0 groups t --json
    check "--lease $1" grep -q "\"group\":\"lease$1\".*" "$DIR/out"
    grep -o "\"group\":\"lease$1\"[^}]*" "$DIR/out" >"$DIR/one"
    check "--lease $1 is $2" grep -q "\"lease_seconds\":$2[,}]" "$DIR/one"
}
lease 5000us 0.005000000
lease 20ms 0.020000000
lease 1.5s 1.500000000
lease 7 7.000000000
lease 2m 120.000000000
lease 1.5h 5400.000000000
lease 1d 86400.000000000
for d in '' s 1x 1.s .5 -1 1e3 ' 1' '1 ' 1ns 999999999999d; do
    expect 2 group create t bad --lease "$d"
    says '--lease: .* does not do; give a duration'
done
size() {
    expect 0 create "size$1" --arena "$1" --max-message 1K
    expect 0 stat "size$1" --json
    check "--arena $1 is $2" grep -q "\"arena_bytes\":$2," "$DIR/out"
}
size 65536 65536
size 64K 65536
size 2M 2097152
for s in '' K 0 -1 1k 1.5K 1KB 0x10 99999999999G; do
    expect 2 create bad --arena "$s"
    says '--arena: .* does not do; give a size'
done
for n in '' 0 -1 4097 1.5 x; do
    expect 2 pub t --batch "$n"
    says '--batch: .* does not do; give a number from 1 to 4096'
done
for n in 0 -1 x '' 1e3; do
    expect 2 pub t --rate "$n"
    says '--rate: '
done
for m in 0 08 1777 rw '' 00600000; do
    expect 2 create bad --mode "$m"
    says '--mode: .* octal'
done
for v in '--ring x' '--on-full drop' '--durability yes'; do
    # shellcheck disable=SC2086
    expect 2 create bad $v
    says 'does not do; give '
done
expect 2 sub t --ack maybe
expect 2 sub t --format xml
expect 2 sub t --count 0
expect 2 sub t --prefetch 0
expect 2 sub t --prefetch 1025
expect 2 sub t --group g --max-attempts 1
expect 2 sub t --group g --max-attempts 101
expect 2 sub t --exclusive
says 'give --group'
expect 2 sub t --lease 3s
says 'give --group'
expect 2 pub t --header nope
says '--header'
expect 2 pub t --header =v
says '--header'
expect 0 group create t p
for p in earliest latest 0 12345 18446744073709551615 @1700000000 \
    @1700000000.5 -1h -300 -1.5d 2025-01-31T12:00:00Z \
    2025-01-31t12:00:00.123456789+05:30 1970-01-01T00:00:00Z; do
    expect 0 group reset t p --to "$p"
    expect 0 group reset t p "--to=$p"
done
for p in '' oldest 18446744073709551616 @ @x -x -1y 2025-01-31 \
    2025-01-31T12:00:00 2025-02-29T12:00:00Z 2025-01-31T24:00:00Z \
    2025-01-31T12:00:00.Z 2025-1-31T12:00:00Z 1969-12-31T00:00:00Z; do
    expect 2 group reset t p --to "$p"
    says '--to: .* does not do; give earliest, latest, a position, or a time'
done

finish
