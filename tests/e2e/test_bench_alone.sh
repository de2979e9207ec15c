#!/usr/bin/env bash
# A machine that has none of the packages that are optional: library, command and
# lab build, what is left out is named with its package, and the lab, which runs
# without its peers, says of each which package to install.
set -u
source=$SHMQ_SOURCE_DIR
work=$(mktemp -d)
failed=0
trap 'rm -rf "$work"' EXIT

fail() {
    echo "FAILED: $*"
    failed=1
}

machine=$(cc -dumpmachine)
nothing="/usr/include;/usr/lib;/usr/lib/$machine;/lib;/lib/$machine"
nothing="$nothing;/usr/local/include;/usr/local/lib"
PKG_CONFIG_LIBDIR=/nonexistent cmake -S "$source" -B "$work" -DSHMQ_BENCH=ON \
    "-DCMAKE_IGNORE_PATH=$nothing" >"$work/log" 2>&1 &&
    cmake --build "$work" -j "$(nproc)" --target shmq-bench --target shmq \
        >>"$work/log" 2>&1 || {
    tail -n 20 "$work/log"
    fail "without the optional packages it does not build"
    exit 1
}
for package in libinih-dev libzmq3-dev liburing-dev cmocka; do
    grep -q "^-- shmq: no .*$package" "$work/log" ||
        fail "nothing says that $package is missing"
done
"$work/bin/shmq" --version >/dev/null || fail "the command does not run"
"$work/bin/shmq" --remote tcp://127.0.0.1:1 ls >"$work/out" 2>&1
[ $? = 9 ] || fail "--remote without libzmq: $(cat "$work/out")"
bench=$work/bin/shmq-bench

if ldd "$bench" | grep -E 'rte_|zmq|boost'; then
    fail "linked with a peer all the same"
fi
"$bench" list >"$work/list" || fail "list"
while read -r name package; do
    grep -q "^$name .*skipped, not built in (install $package)" "$work/list" ||
        fail "$name is not skipped for want of $package"
done <<'PEERS'
ck-spsc libck-dev
ck-mpmc libck-dev
dpdk-mpsc libdpdk-dev
dpdk-hts libdpdk-dev
dpdk-rts libdpdk-dev
boost-mq libboost-dev
zmq-inproc libzmq3-dev
zmq-ipc libzmq3-dev
zmq-tcp libzmq3-dev
PEERS
"$bench" run --quiet --repeats 1 --slice 5ms --modes pingpong,stream \
    >"$work/out" 2>"$work/err" || fail "run: $(cat "$work/err")"
grep -q '^spsc ' "$work/out" || fail "no row of ours"
grep -q 'skipped ck-spsc: not built in, install libck-dev' "$work/out" ||
    fail "the run does not say what it skipped"
"$bench" bars --quiet --repeats 1 --slice 5ms --bars spsc-stream \
    >"$work/out" 2>"$work/err" || fail "bars: $(cat "$work/err")"
grep -q '^BAR spsc-stream: SKIP (not built in: install libck-dev)' "$work/out" ||
    fail "the bar is not skipped: $(cat "$work/out")"

[ $failed = 0 ] && echo "all as it should be"
exit $failed
