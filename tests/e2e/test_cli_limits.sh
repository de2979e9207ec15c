#!/usr/bin/env bash
# Limits of the process, rights of others, and strange things where topics are:
# one line that names the thing and the remedy, a status of its own, and
# nothing left behind.
. "$(dirname "$0")/cli_support.sh"

# limited STATUS OPTION COMMAND...: with a limit of prlimit(1).
limited() {
    local want=$1 limit=$2 got
    shift 2
    prlimit "$limit" timeout 60 "$SHMQ" "$@" >"$DIR/out" 2>"$DIR/err" \
        </dev/null 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-
    got=$?
    checks=$((checks + 1))
    [ "$got" = "$want" ] || fail "$limit shmq $*: status $got, not $want"
}
nobody() {
    setpriv --reuid 65534 --regid 65534 --clear-groups "$SHMQ" "$@" \
        >"$DIR/out" 2>"$DIR/err" </dev/null
}

# -- limits of the process ---------------------------------------------------
expect 0 create t
if command -v prlimit >/dev/null; then
    # A file beyond the limit would be a SIGXFSZ.
    limited 7 --fsize=4096:4096 create large
    says '^shmq: create: large: cannot make a file.*: File too large; .*ulimit -f'
    expect 4 stat large
    limited 0 --fsize=4096:4096 pub t
    limited 0 --fsize=4096:4096 sub t --group g --exit-when-empty
    limited 1 --nofile=4:4 stat t
    says 'Too many open files; .*ulimit -n'
    limited 1 --nofile=5:5 create more
    says 'Too many open files; .*ulimit -n'
    expect 4 stat more
    # Sanitizers need address space of their own.
    if ! nm "$SHMQ_LIB_DIR/libshmq.a" 2>/dev/null |
        grep -qE '__asan_init|__tsan_init'; then
        limited 1 --as=20000000:20000000 pub t
        says 'Cannot allocate memory; .*ulimit -v.*acknowledged 0 of 0'
    fi
fi

# -- what is not a topic ------------------------------------------------------
mkdir "/dev/shm/shmq.$SHMQ_NAMESPACE.d.dir"
expect 8 stat dir
says ': /dev/shm/shmq\..*\.d\.dir is a directory; remove it$'
expect 8 rm dir
rmdir "/dev/shm/shmq.$SHMQ_NAMESPACE.d.dir"
ln -s /etc/passwd "/dev/shm/shmq.$SHMQ_NAMESPACE.d.link"
expect 8 stat link
says ': /dev/shm/shmq\..*\.d\.link is a symbolic link; remove it$'
expect 0 rm link --force
check "a link's target stays" [ -s /etc/passwd ]
mkfifo "/dev/shm/shmq.$SHMQ_NAMESPACE.d.fifo"
expect 8 sub fifo --timeout 100ms
says ': not a regular file'
expect 0 rm fifo --force
expect 0 create cut
truncate -s 4096 "/dev/shm/shmq.$SHMQ_NAMESPACE.d.cut"
expect 1 health
check "health names it once" [ "$(grep -c '^bad   damaged: cut: a file is truncated; shmq rm --force removes it; its records are lost$' "$DIR/out")" = 1 ]
expect 0 rm cut --force

# -- rights --------------------------------------------------------------------
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null &&
    setpriv --reuid 65534 --regid 65534 --clear-groups test -x "$SHMQ"; then
    nobody rm t
    check "rm of another's topic: status" [ $? = 6 ]
    says '^shmq: rm: t: it belongs to uid 0; only its owner and root remove it$'
    nobody create theirs
    check "another's topic" [ -e "/dev/shm/shmq.$SHMQ_NAMESPACE.d.theirs" ]
    expect 6 stat theirs
    says 'belongs to uid 65534; .*SHMQ_TRUSTED_UIDS'
    SHMQ_TRUSTED_UIDS=65534 expect 0 rm theirs
fi

# -- advice ---------------------------------------------------------------------
expect 2 bogus
says '^shmq: bogus: no such command; see shmq help$'
expect 2 create x --frobnicate
says '--frobnicate: unknown option; see shmq help create$'
expect 2 sub t --group g2 --dead-letter t --exit-when-empty
says 'no topic takes its own dead letters'
expect 2 sub 'a/*' --exit-when-empty
says "pattern 'a/\*': no topic can match it"
expect 0 group create t leased --lease 5s
expect 5 group create t leased --lease 90ms --if-missing
says 'another --lease: 5s, not 0.09s;'
"$SHMQ" sub t --group g9 >/dev/null 9<&- &
reader=$!
soon "a reader" has_members t 1
"$SHMQ" sub t --group g8 >/dev/null 9<&- &
soon "two readers" has_members t 2
expect 5 rm t
says 'in use by pids [0-9]+ [0-9]+; '
murder "$reader"
murder $!

# -- huge pages, where this host has them: a /dev/shm of our own asks ------------
if unshare -m true 2>/dev/null; then
    cat >"$DIR/huge" <<'EOF'
mount -t tmpfs -o huge=advise,size=64m none /dev/shm 2>/dev/null || exit 77
for option in --prefault --huge; do
    "$1" create t $option --arena 2M --max-producers 4 || exit 101
    "$1" pub t <"$2/silent" 9<&- &
    publisher=$!
    for i in $(seq 500); do
        "$1" stat t 2>/dev/null | grep -q '^producers *1 ' && break
        sleep 0.02
    done
    awk '/shmq\..*\.d\.t/ { data = 1 } data && /^ShmemPmdMapped:/ { print $2; exit }' \
        "/proc/$publisher/smaps"
    kill -9 $publisher
    wait $publisher 2>/dev/null
    "$1" rm t || exit 102
done
# Too little room for what is asked for: an error, not a signal.
"$1" create t --huge --arena 32M --max-producers 4 2>/dev/null
[ $? = 7 ] || exit 103
[ -z "$("$1" ls)" ] || exit 104
EOF
    unshare -m bash "$DIR/huge" "$SHMQ" "$DIR" >"$DIR/out" 2>"$DIR/err"
    got=$?
    huge=$(tail -1 "$DIR/out")
    if [ $got = 77 ]; then
        echo "no tmpfs with huge pages here"
    else
        check "huge pages: $got" [ $got = 0 ]
        check "small pages unless asked for" [ "$(head -1 "$DIR/out")" = 0 ]
        check "huge pages: $huge kB" [ "${huge:-0}" -ge 2048 ]
    fi
fi

# -- nothing left behind ----------------------------------------------------------
expect 0 rm --all --force
check "nothing is left: $(ls /dev/shm | grep "$SHMQ_NAMESPACE")" \
    [ -z "$(ls /dev/shm | grep "$SHMQ_NAMESPACE")" ]
finish
