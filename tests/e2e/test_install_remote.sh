#!/usr/bin/env bash
# Installs what was built into an empty folder and uses the client for remote
# hosts from outside: by pkg-config and by find_package, shared and static, from C
# and C++. Each talks with the installed bridge. Without libshmq.
set -u
BUILD=$(dirname "${SHMQ_BIN_DIR:?}")
SOURCE=${SHMQ_SOURCE_DIR:?}
command -v cmake >/dev/null || { echo "skipped: no cmake"; exit 77; }
[ -x "$SHMQ_BIN_DIR/shmq-bridge" ] || { echo "skipped: no shmq-bridge"; exit 77; }
if nm "$SHMQ_LIB_DIR/libshmq-remote.a" 2>/dev/null |
    grep -qE '__asan_init|__tsan_init'; then
    echo "skipped: a sanitizer's library wants its flags everywhere"
    exit 77
fi
DIR=$(mktemp -d)
export SHMQ_NAMESPACE=inst-$$-$RANDOM
bridge=
clean_up() {
    [ -n "$bridge" ] && kill "$bridge" 2>/dev/null && wait "$bridge"
    rm -rf "$DIR"
    rm -f /dev/shm/shmq."$SHMQ_NAMESPACE".*
}
trap clean_up EXIT
die() {
    echo "FAILED: $*"
    tail -20 "$DIR/log"
    exit 1
}

cmake --install "$BUILD" --prefix "$DIR/inst" >"$DIR/log" 2>&1 ||
    die "cmake --install"
mkdir "$DIR/user"
cp "$SOURCE/docs/examples/remote_hello.c" "$DIR/user/user.c"
cat >"$DIR/user/user.cpp" <<'END'
#include <shmq/remote.h>
int main(int, char **argv)
{
    shmq_remote *remote = nullptr;
    uint64_t soon = shmq_remote_deadline(60000000000u);
    if (shmq_remote_open(argv[1], nullptr, &remote) != 0 ||
        shmq_remote_connect_wait(remote, soon) != 0)
        return 1;
    shmq_remote_close(remote);
    return 0;
}
END
cat >"$DIR/user/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.16)
project(user C)
find_package(shmq-remote 0.1 REQUIRED)
add_executable(shared user.c)
target_link_libraries(shared PRIVATE shmq::remote)
add_executable(static user.c)
target_link_libraries(static PRIVATE shmq::remote_static)
include(CheckLanguage)
check_language(CXX)
if(CMAKE_CXX_COMPILER)
    enable_language(CXX)
    add_executable(cxx user.cpp)
    target_link_libraries(cxx PRIVATE shmq::remote)
endif()
END
cmake -S "$DIR/user" -B "$DIR/user/build" -DCMAKE_PREFIX_PATH="$DIR/inst" \
    >"$DIR/log" 2>&1 || die "find_package"
cmake --build "$DIR/user/build" >"$DIR/log" 2>&1 ||
    die "building with find_package"
programs="$DIR/user/build/shared $DIR/user/build/static"
if command -v pkg-config >/dev/null; then
    pc=$(find "$DIR/inst" -name shmq-remote.pc)
    export PKG_CONFIG_PATH=${pc%/*}
    libs=$(pkg-config --variable=libdir shmq-remote)
    # shellcheck disable=SC2046
    cc "$DIR/user/user.c" $(pkg-config --cflags --libs shmq-remote) \
        -Wl,-rpath,"$libs" -o "$DIR/user/pc" >"$DIR/log" 2>&1 || die "pkg-config"
    # shellcheck disable=SC2046
    cc "$DIR/user/user.c" $(pkg-config --cflags shmq-remote) \
        "$libs/libshmq-remote.a" -lzmq -lpthread -o "$DIR/user/pc-static" \
        >"$DIR/log" 2>&1 || die "the static library"
    programs="$programs $DIR/user/pc $DIR/user/pc-static"
fi

"$DIR/inst/bin/shmq-bridge" --router "ipc://$DIR/router" --pub none --pull none \
    --log-level error </dev/null >"$DIR/log" 2>&1 &
bridge=$!
for _ in $(seq 1200); do
    [ -S "$DIR/router" ] && break
    sleep 0.05
done
cnt=0
for program in $programs; do
    [ "$("$program" "ipc://$DIR/router" 2>"$DIR/log")" = Hello ] || die "$program"
    ldd "$program" | grep -q 'libshmq\.so' && die "$program needs libshmq"
    cnt=$((cnt + 1))
done
if [ -x "$DIR/user/build/cxx" ]; then
    "$DIR/user/build/cxx" "ipc://$DIR/router" 2>"$DIR/log" || die "C++"
    cnt=$((cnt + 1))
fi
echo "installed, and used by $cnt programs"
