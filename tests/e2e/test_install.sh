#!/usr/bin/env bash
# Installs what was built into an empty folder and uses it from outside: C by
# pkg-config, C and C++ by find_package, shared and static; the command runs.
set -u
BUILD=$(dirname "${SHMQ_BIN_DIR:?}")
command -v cmake >/dev/null || { echo "skipped: no cmake"; exit 77; }
if nm "$SHMQ_LIB_DIR/libshmq.a" 2>/dev/null | grep -qE '__asan_init|__tsan_init'; then
    echo "skipped: a sanitizer's library wants its flags everywhere"
    exit 77
fi
DIR=$(mktemp -d)
export SHMQ_NAMESPACE=inst-$$-$RANDOM
clean_up() {
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
# What a program can see of the shared library: its functions, each with a version.
if command -v nm >/dev/null; then
    so=$(find "$DIR/inst" -name libshmq.so)
    nm -D --defined-only --with-symbol-versions "$so" >"$DIR/symbols" || die "nm"
    strays=$(awk '$2 != "A" && $3 !~ /^shmq_[a-z0-9_]+@@SHMQ_[0-9.]+$/' "$DIR/symbols")
    [ -z "$strays" ] || die "symbols that should be hidden, or have no version: $strays"
    [ "$(grep -c '@@SHMQ_' "$DIR/symbols")" -gt 100 ] || die "no symbols"
fi
mkdir "$DIR/user"
cat >"$DIR/user/user.c" <<'EOF'
#include <shmq.h>
#include <stdio.h>
int main(void)
{
    struct shmq_topic *topic = 0;
    struct shmq_producer *producer = 0;
    shmq_topic_create(0, "t", 0);
    if (shmq_topic_open(0, "t", &topic) != 0 ||
        shmq_producer_open(topic, 0, &producer) != 0 ||
        shmq_producer_publish(producer, "hello", 5, 0) != 0)
        return 1;
    shmq_producer_close(producer);
    shmq_topic_close(topic);
    return puts(shmq_version()) < 0;
}
EOF
cp "$DIR/user/user.c" "$DIR/user/user.cpp"
cat >"$DIR/user/CMakeLists.txt" <<'EOF'
cmake_minimum_required(VERSION 3.16)
project(user C)
find_package(shmq 0.1 REQUIRED)
add_executable(shared user.c)
target_link_libraries(shared PRIVATE shmq::shmq)
add_executable(static user.c)
target_link_libraries(static PRIVATE shmq::static)
include(CheckLanguage)
check_language(CXX)
if(CMAKE_CXX_COMPILER)
    enable_language(CXX)
    add_executable(cxx user.cpp)
    target_link_libraries(cxx PRIVATE shmq::shmq)
endif()
EOF
cmake -S "$DIR/user" -B "$DIR/user/build" -DCMAKE_PREFIX_PATH="$DIR/inst" \
    >"$DIR/log" 2>&1 || die "find_package"
cmake --build "$DIR/user/build" >"$DIR/log" 2>&1 || die "building with find_package"
programs="$DIR/user/build/shared $DIR/user/build/static"
[ -x "$DIR/user/build/cxx" ] && programs="$programs $DIR/user/build/cxx"

if command -v pkg-config >/dev/null; then
    pc=$(find "$DIR/inst" -name shmq.pc)
    export PKG_CONFIG_PATH=${pc%/*}
    libs=$(pkg-config --variable=libdir shmq)
    # shellcheck disable=SC2046
    cc "$DIR/user/user.c" $(pkg-config --cflags --libs shmq) \
        -Wl,-rpath,"$libs" -o "$DIR/user/pc" >"$DIR/log" 2>&1 || die "pkg-config"
    programs="$programs $DIR/user/pc"
fi
published=0
for program in $programs; do
    [ "$("$program" 2>"$DIR/log")" = "$("$DIR/inst/bin/shmq" --version | cut -d' ' -f2)" ] ||
        die "$program"
    published=$((published + 1))
done
got=$("$DIR/inst/bin/shmq" sub t --from earliest --exit-when-empty | grep -c '^hello$')
[ "$got" = "$published" ] || die "published $published, received $got"
"$DIR/inst/bin/shmq" rm t || die "rm"
echo "installed, and used by $published programs"
