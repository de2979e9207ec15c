#!/usr/bin/env bash
# The programs of docs/examples: built as a user would, run, and checked.
. "$(dirname "$0")/cli_support.sh"
EXAMPLES=${SHMQ_SOURCE_DIR:?the source}/docs/examples
CC=${CC:-cc}
CXX=${CXX:-c++}

# A library that was built for a sanitizer wants it in the program, too.
san=
if nm "$SHMQ_LIB_DIR/libshmq.a" 2>/dev/null | grep -q __asan_init; then
    san=-fsanitize=address,undefined
elif nm "$SHMQ_LIB_DIR/libshmq.a" 2>/dev/null | grep -q __tsan_init; then
    san=-fsanitize=thread
fi
export ASAN_OPTIONS=detect_leaks=0

build() { # NAME [LIBRARY...]
    local name=$1
    shift
    # shellcheck disable=SC2086
    "$CC" -std=gnu11 -O2 -Wall -Wextra -Wpedantic -Werror $san \
        -I"$SHMQ_SOURCE_DIR/include" -o "$DIR/$name" "$EXAMPLES/$name.c" \
        "$SHMQ_LIB_DIR/libshmq.a" -lpthread "$@" 2>"$DIR/err"
}
run() { timeout 120 "$DIR/$1" "${@:2}"; }

for name in log_pipeline request_reply epoll_loop frames_4m supervisor; do
    check "$name compiles" build $name
done

# -- log pipeline: two producers, three workers, one killed, bad lines --------
"$DIR"/log_pipeline enrich &
w1=$!
"$DIR"/log_pipeline enrich &
w2=$!
"$DIR"/log_pipeline enrich &
w3=$!
soon "three workers" has_members log.raw 3
(seq 1 500 | sed 's/^/INFO line /'; echo nonsense; echo) >"$DIR/one.log"
seq 501 1000 | sed 's/^/WARN line /' >"$DIR/two.log"
"$DIR"/log_pipeline collect 1000 >"$DIR/rich" &
collector=$!
"$DIR"/log_pipeline produce <"$DIR/one.log" &
p1=$!
soon "lines come" lines_in "$DIR/rich" 0
murder $w1
check "second producer" run log_pipeline produce <"$DIR/two.log"
ends 0 $p1 "first producer"
ends 0 $collector "the collector has 1000 lines"
check "every line was enriched" [ "$(sort -u "$DIR/rich" | wc -l)" -ge 999 ]
check "as it should be" [ "$(grep -cE '^\[(INFO|WARN)\] line [0-9]+$' "$DIR/rich")" = 1000 ]
dead() { [ "$("$SHMQ" sub log.dead --from earliest --exit-when-empty | wc -l)" = 2 ]; }
soon "bad lines are dead letters" dead
murder $w2
murder $w3
"$SHMQ" rm --all --force

# -- request and reply ------------------------------------------------------------
"$DIR"/request_reply serve &
s1=$!
"$DIR"/request_reply serve &
s2=$!
soon "two servers" has_members squares 2
run request_reply call 100 >"$DIR/out"
check "100 squares" [ "$(wc -l <"$DIR/out")" = 100 ]
check "the last one" [ "$(tail -1 "$DIR/out")" = "100 squared is 10000" ]
check "no inbox is left" [ -z "$("$SHMQ" ls | grep inbox)" ]
murder $s1
murder $s2
"$SHMQ" rm --all --force

# -- epoll ---------------------------------------------------------------------
mkfifo "$DIR/typed"
"$DIR"/epoll_loop <"$DIR/typed" >"$DIR/out" &
loop=$!
exec 7>"$DIR/typed"
soon "it is there" has_members news 1
echo "typed here" >&7
soon "what was typed comes back" grep -qx 'typed here' "$DIR/out"
echo "from elsewhere" | "$SHMQ" pub news
soon "news are printed" grep -qx 'from elsewhere' "$DIR/out"
exec 7>&-
ends 0 $loop "epoll_loop at the end of input"
"$SHMQ" rm --all --force

# -- 4 MiB frames, supervisor ------------------------------------------------------
run frames_4m 12 >"$DIR/out" 2>"$DIR/err"
check "frames_4m: $?" [ "$(grep -c '12 frames whole' "$DIR/out")" = 3 ]
check "it cleans up" [ -z "$("$SHMQ" ls)" ]
cat "$DIR/out"
run supervisor 2000 >"$DIR/out" 2>"$DIR/err"
check "supervisor: $?" grep -q '^2000 jobs, lost 0, .*restarted [1-9]' "$DIR/out"
cat "$DIR/out"
"$SHMQ" rm --all --force

# -- C++ and libuv, where they are --------------------------------------------------
if command -v "$CXX" >/dev/null; then
    # shellcheck disable=SC2086
    check "cpp_user compiles" "$CXX" -std=c++17 -Wall -Wextra -Wpedantic \
        -Werror $san -I"$SHMQ_SOURCE_DIR/include" -o "$DIR/cpp_user" \
        "$EXAMPLES/cpp_user.cpp" "$SHMQ_LIB_DIR/libshmq.a" -lpthread
    check "cpp_user" [ "$(run cpp_user | tr '\n' ',')" = "record 0,record 1,record 2," ]
fi
if echo '#include <uv.h>' | "$CC" -E - >/dev/null 2>&1; then
    check "libuv_loop compiles" build libuv_loop -luv
    run libuv_loop >"$DIR/out" &
    loop=$!
    soon "it is there" has_members ticks 1
    seq 10 | "$SHMQ" pub ticks
    ends 0 $loop "libuv_loop"
    check "ten ticks" [ "$(wc -l <"$DIR/out")" = 10 ]
else
    echo "libuv is not there: its example was not run"
fi

# -- through a bridge ------------------------------------------------------------
"$SHMQ" rm --all --force
if [ -x "$SHMQ_BIN_DIR/shmq-bridge" ]; then
    "$SHMQ_BIN_DIR/shmq-bridge" --router "ipc://$DIR/router" \
        --pub "ipc://$DIR/feed" --pull none --log-level error </dev/null &
    soon "the bridge is there" [ -S "$DIR/router" ]
    # With the static library, and without libshmq.
    # shellcheck disable=SC2086
    check "remote_hello compiles" "$CC" -std=gnu11 -O2 -Wall -Wextra \
        -Wpedantic -Werror $san -I"$SHMQ_SOURCE_DIR/include" \
        -o "$DIR/remote_hello" "$EXAMPLES/remote_hello.c" \
        "$SHMQ_LIB_DIR/libshmq-remote.a" -lzmq -lpthread
    check "remote_hello.c" [ "$(run remote_hello "ipc://$DIR/router")" = Hello ]
    python=python3
    "$python" -c 'import zmq' 2>/dev/null || python=/usr/bin/python3
    if "$python" -c 'import zmq' 2>/dev/null; then
        export PYTHONPATH=$SHMQ_SOURCE_DIR/bridge/python
        check "remote_hello.py" [ "$(timeout 120 "$python" \
            "$EXAMPLES/remote_hello.py" "ipc://$DIR/router")" = Hello ]
        timeout 120 "$python" "$EXAMPLES/remote_asyncio.py" \
            "ipc://$DIR/router" >"$DIR/out" 2>"$DIR/err"
        check "remote_asyncio.py" grep -qx 'last: tick 99' "$DIR/out"
        rm -f "$DIR/err"
    else
        echo "pyzmq is not there: its examples were not run"
    fi
else
    echo "the bridge was not built: its examples were not run"
fi

finish
