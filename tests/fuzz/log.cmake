# Reading a log of any bytes, and opening a data directory of any bytes: the
# kept inputs, cut short at every byte, in the default tests; libFuzzer (clang)
# by the target fuzz_log_full, at least 10^7 executions each, which goes on with
# the corpus in the build's folder.
file(GLOB log_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/shmq/log_*.c)
set(log_sources ${log_sources} fuzz/log_image.c support/log_support.c
    ${PROJECT_SOURCE_DIR}/shmq/error.c ${PROJECT_SOURCE_DIR}/shmq/crc32c.c)
file(GLOB engine_sources CONFIGURE_DEPENDS
    ${PROJECT_SOURCE_DIR}/daemon/storage/*.c)
list(FILTER engine_sources EXCLUDE REGEX "/daemon/storage/io_")

# Half as long again without these: libFuzzer counts how rare features are, and
# AddressSanitizer keeps a stack of calls, and 256 MiB, for each free().
set(quick malloc_context_size=0:quarantine_size_mb=1)
set(quick ${quick}:thread_local_quarantine_size_kb=64)

function(shmq_add_log_fuzz name corpus)
    set(folder ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${corpus})
    add_executable(${name}_replay fuzz/replay.c ${ARGN})
    set(targets ${name}_replay)
    shmq_add_test(${name} fuzz 60 ${name}_replay ${folder})
    if(CMAKE_C_COMPILER_ID STREQUAL Clang AND NOT SHMQ_SANITIZE)
        add_executable(${name} EXCLUDE_FROM_ALL ${ARGN})
        list(APPEND targets ${name})
        set(flags -fsanitize=fuzzer,address,undefined
            -fno-sanitize-recover=undefined)
        target_compile_options(${name} PRIVATE ${flags})
        target_link_options(${name} PRIVATE ${flags})
        add_custom_target(${name}_full DEPENDS ${name} USES_TERMINAL
            COMMAND ${CMAKE_COMMAND} -E make_directory
                ${PROJECT_BINARY_DIR}/corpus-${corpus}
            COMMAND ${CMAKE_COMMAND} -E env ASAN_OPTIONS=${quick}
                $<TARGET_FILE:${name}> -runs=10000000 -max_len=400 -reload=0
                -entropic=0
                ${PROJECT_BINARY_DIR}/corpus-${corpus} ${folder})
        if(NOT TARGET fuzz_log_full)
            add_custom_target(fuzz_log_full)
        endif()
        add_dependencies(fuzz_log_full ${name}_full)
    endif()
    foreach(target IN LISTS targets)
        target_compile_definitions(${target} PRIVATE SHMQI_LOG_AHEAD=8192u)
        target_compile_options(${target} PRIVATE -iquote${PROJECT_SOURCE_DIR})
        target_include_directories(${target} PRIVATE
            ${PROJECT_SOURCE_DIR}/include ${PROJECT_BINARY_DIR}/include)
    endforeach()
endfunction()

shmq_add_log_fuzz(fuzz_log_reader log-reader fuzz/fuzz_log_reader.c
    ${log_sources})
if(TARGET shmq_storage)
    shmq_add_log_fuzz(fuzz_recovery recovery fuzz/fuzz_recovery.c
        fuzz/memory_io.c ${log_sources} ${engine_sources})
endif()
