# The codec of the wire protocol under any bytes: the kept corpus, cut short at
# every byte, in the default tests; libFuzzer (clang) by the target
# fuzz_wire_full, which goes on with the corpus in the build's folder.
set(corpus ${PROJECT_SOURCE_DIR}/tests/data/wire/corpus)
add_executable(fuzz_wire_replay fuzz/fuzz_wire.c fuzz/replay.c)
target_link_libraries(fuzz_wire_replay PRIVATE shmq_wire)
shmq_add_test(fuzz_wire fuzz 60 fuzz_wire_replay ${corpus})
# For e2e_bridge_golden: what the C client's codec makes of recorded messages.
add_executable(wire_dump fuzz/wire_dump.c)
target_link_libraries(wire_dump PRIVATE shmq_wire)
if(CMAKE_C_COMPILER_ID STREQUAL Clang AND NOT SHMQ_SANITIZE)
    file(GLOB codec ${PROJECT_SOURCE_DIR}/bridge/codec/*.c)
    add_executable(fuzz_wire EXCLUDE_FROM_ALL fuzz/fuzz_wire.c ${codec})
    target_include_directories(fuzz_wire PRIVATE ${PROJECT_SOURCE_DIR}/bridge)
    target_compile_options(fuzz_wire PRIVATE -fsanitize=fuzzer,address,undefined)
    target_link_options(fuzz_wire PRIVATE -fsanitize=fuzzer,address,undefined)
    add_custom_target(fuzz_wire_full DEPENDS fuzz_wire USES_TERMINAL
        COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/corpus
        COMMAND fuzz_wire -runs=10000000 -max_len=4096
            ${PROJECT_BINARY_DIR}/corpus ${corpus})
endif()
