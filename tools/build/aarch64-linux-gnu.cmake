# Debian's cross compiler; programs run under qemu-user, libraries are those of
# packages for arm64.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
find_program(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
# No -L: it would mix the C library of the cross compiler with that of the
# arm64 packages, and forks would spin.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64)
