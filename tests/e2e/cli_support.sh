# Sourced by test_cli_*.sh: a namespace of its own, checks, and cleaning up.
# Needs SHMQ_BIN_DIR, the folder of the programs.
set -u
SHMQ=${SHMQ_BIN_DIR:?the folder of the programs}/shmq
DATA=$(cd "$(dirname "${BASH_SOURCE[0]}")/../data" && pwd)
export SHMQ_NAMESPACE=cli-$$-$RANDOM
DIR=$(mktemp -d)
checks=0
failures=0

clean_up() {
    local pids
    # A background child that is signalled before it became shmq has the trap
    # too.
    [ "$BASHPID" = $$ ] || return
    pids=$(jobs -p)
    # shellcheck disable=SC2086
    [ -n "$pids" ] && kill -9 $pids 2>/dev/null
    wait 2>/dev/null
    rm -f /dev/shm/shmq."$SHMQ_NAMESPACE".*
    rm -rf "$DIR"
}
trap clean_up EXIT

# <&9 is an input that stays silent and open.
mkfifo "$DIR/silent"
exec 9<>"$DIR/silent"

fail() {
    failures=$((failures + 1))
    echo "FAILED: $*"
    [ -s "$DIR/err" ] && sed 's/^/    stderr: /' "$DIR/err" | head -5
    return 0
}

# expect STATUS COMMAND...: runs shmq, keeps stdout and stderr in $DIR.
expect() {
    local want=$1 got
    shift
    timeout $((2 * PATIENCE)) "$SHMQ" "$@" >"$DIR/out" 2>"$DIR/err" </dev/null
    got=$?
    checks=$((checks + 1))
    [ "$got" = "$want" ] || fail "shmq $*: status $got, not $want"
}

# expect_in STATUS FILE COMMAND...: the same with stdin from FILE.
expect_in() {
    local want=$1 in=$2 got
    shift 2
    timeout $((2 * PATIENCE)) "$SHMQ" "$@" >"$DIR/out" 2>"$DIR/err" <"$in"
    got=$?
    checks=$((checks + 1))
    [ "$got" = "$want" ] || fail "shmq $* <$in: status $got, not $want"
}

# check WHAT TEST...: the command must succeed.
check() {
    local what=$1
    shift
    checks=$((checks + 1))
    "$@" || fail "$what"
}

# stderr of the last expect: one line that matches, or nothing.
says() {
    checks=$((checks + 1))
    if [ "$(wc -l <"$DIR/err")" != 1 ]; then
        fail "not one line on stderr but $(wc -l <"$DIR/err")"
    elif ! grep -qE -- "$1" "$DIR/err"; then
        fail "stderr does not match: $1"
    fi
}
says_nothing() {
    checks=$((checks + 1))
    [ -s "$DIR/err" ] && fail "something on stderr"
}

# stdout of the last expect.
prints() {
    checks=$((checks + 1))
    [ "$(cat "$DIR/out")" = "$1" ] ||
        fail "stdout is not \"$1\" but \"$(head -c 300 "$DIR/out")\""
}
prints_nothing() {
    checks=$((checks + 1))
    [ -s "$DIR/out" ] && fail "something on stdout: $(head -c 99 "$DIR/out")"
}

# Seconds to wait for what has to come, however slow the machine is.
PATIENCE=60

# soon WHAT TEST...: must become true.
soon() {
    local what=$1 end=$((SECONDS + PATIENCE))
    shift
    checks=$((checks + 1))
    until "$@" 2>/dev/null; do
        if [ $SECONDS -ge $end ]; then
            fail "$what: not within $PATIENCE s"
            return 1
        fi
        sleep 0.02
    done
}

# ends STATUS PID WHAT: the background job ends with that status.
ends() {
    local got end=$((SECONDS + PATIENCE))
    checks=$((checks + 1))
    { # without the shell's notes of killed jobs
        while kill -0 "$2" && [ $SECONDS -lt $end ]; do
            sleep 0.01
        done
        kill -9 "$2"
        wait "$2"
        got=$?
    } 2>/dev/null
    [ "$got" = "$1" ] || fail "$3: status $got, not $1"
}

# murder PID: SIGKILL, and gone.
murder() {
    {
        kill -9 "$1"
        wait "$1"
    } 2>/dev/null
    return 0
}

# The number behind a key in `stat --json`, without a JSON reader.
stat_number() {
    "$SHMQ" stat "$1" --json 2>/dev/null | grep -o "\"$2\":[0-9]*" |
        head -1 | cut -d: -f2
}
has_members() {
    local n sum=0
    for n in $("$SHMQ" groups "$1" --json | grep -o '"members":[0-9]*'); do
        sum=$((sum + ${n#*:}))
    done
    [ $sum -ge "$2" ]
}
# Whether background job PID has come so far as to catch SIGTERM.
catches_signals() {
    local caught
    [ "$(cat /proc/"$1"/comm)" = shmq ] || return 1
    caught=$(sed -n 's/^SigCgt:[[:space:]]*//p' /proc/"$1"/status)
    [ $((0x$caught & 0x4000)) != 0 ]
}
lines_in() { [ "$(wc -l <"$1")" -ge "$2" ]; }

finish() {
    local name
    name=$(basename "$0")
    if [ $failures -gt 0 ]; then
        echo "$name: $failures of $checks checks failed"
        exit 1
    fi
    echo "$name: $checks checks passed"
    exit 0
}
