# Compiler and linker flags of everything below the top level. A flag is used
# only where the compiler knows it.
include(CheckCCompilerFlag)
include(CheckPIESupported)

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_CXX_STANDARD 11)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
check_pie_supported()

# shmq_supported(LIST FLAG...) sets LIST to the flags that the compiler knows.
function(shmq_supported ret_flags)
    set(CMAKE_REQUIRED_QUIET ON)
    set(CMAKE_REQUIRED_FLAGS -Werror) # clang only warns of some unknown ones
    set(flags)
    foreach(flag IN LISTS ARGN)
        string(MAKE_C_IDENTIFIER "SHMQ_HAVE${flag}" known)
        check_c_compiler_flag(${flag} ${known})
        if(${known})
            list(APPEND flags ${flag})
        endif()
    endforeach()
    set(${ret_flags} ${flags} PARENT_SCOPE)
endfunction()

# Extensions of POSIX and Linux are wanted; C++ compilers define this already.
# The value is that of a plain #define _GNU_SOURCE in a source file.
add_compile_options("$<$<COMPILE_LANGUAGE:C>:-D_GNU_SOURCE=>")

shmq_supported(warnings
    -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wformat=2 -Wvla)
shmq_supported(c_warnings -Wstrict-prototypes -Wmissing-prototypes
    -Werror=implicit-function-declaration)
if(SHMQ_WERROR)
    list(APPEND warnings -Werror)
endif()
add_compile_options(${warnings} "$<$<COMPILE_LANGUAGE:C>:${c_warnings}>")

# No path of the building machine in what is shipped: __FILE__ starts at the top
# level, debug information (but for debug builds) at /usr/src/shmq-VERSION.
set(debug_root /usr/src/shmq-${PROJECT_VERSION})
shmq_supported(file_map -fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=)
shmq_supported(debug_map
    -fdebug-prefix-map=${PROJECT_BINARY_DIR}=${debug_root}/build
    -fdebug-prefix-map=${PROJECT_SOURCE_DIR}=${debug_root})
add_compile_options(${file_map} "$<$<NOT:$<CONFIG:Debug>>:${debug_map}>")

# Hardening. Sanitizers replace the part that would hide what they look for.
shmq_supported(hardening -fstack-protector-strong -fstack-clash-protection
    -fcf-protection=full -mbranch-protection=standard)
add_compile_options(${hardening})
add_link_options(-Wl,-z,relro,-z,now,-z,noexecstack)
if(SHMQ_SANITIZE)
    add_compile_options(-fsanitize=${SHMQ_SANITIZE} -fno-sanitize-recover=all
        -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${SHMQ_SANITIZE})
    # gcc warns at every fence under -fsanitize=thread: shmq/atomics.h knows.
    shmq_supported(no_tsan_warning -Wno-error=tsan)
    add_compile_options(${no_tsan_warning})
else()
    shmq_supported(semantics -fno-delete-null-pointer-checks
        -fno-strict-overflow)
    add_compile_options(${semantics})
    set(optimised "$<NOT:$<OR:$<CONFIG:Debug>,$<CONFIG:>>>")
    add_compile_options(
        "$<${optimised}:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=3>")
    # For programs only: it clears buffers that the hot paths of the library
    # fill at once.
    shmq_supported(SHMQ_PROGRAM_FLAGS -ftrivial-auto-var-init=zero)
endif()
