# crash_instruction: crash at every instruction (docs/crash-proof.md). Its library
# is the production one, with its code in a section of its own, so that the
# tracer knows which instructions are the library's. x86-64 only.
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$" OR SHMQ_SANITIZE
        OR NOT CMAKE_OBJCOPY)
    message(STATUS "shmq: no single steps here, crash_instruction is left out")
    return()
endif()

# shmq_mark_library(TARGET LIBRARY) makes TARGET of the static LIBRARY.
function(shmq_mark_library target library)
    set(file ${CMAKE_CURRENT_BINARY_DIR}/lib${target}.a)
    set(rename)
    foreach(section IN ITEMS .text .text.unlikely .text.hot .text.startup)
        list(APPEND rename --rename-section ${section}=shmq_text)
    endforeach()
    add_custom_command(OUTPUT ${file}
        COMMAND ${CMAKE_OBJCOPY} ${rename} $<TARGET_FILE:${library}> ${file}
        DEPENDS ${library} VERBATIM)
    add_custom_target(${target}_file DEPENDS ${file})
    add_library(${target} STATIC IMPORTED GLOBAL)
    set_target_properties(${target} PROPERTIES IMPORTED_LOCATION ${file})
    add_dependencies(${target} ${target}_file)
endfunction()

# shmq_add_instruction_proof(NAME LIBRARY) builds the program with a library.
function(shmq_add_instruction_proof name library)
    file(GLOB sources CONFIGURE_DEPENDS crash/instruction/*.c)
    shmq_mark_library(${name}_library ${library})
    add_executable(${name} ${sources})
    add_dependencies(${name} ${name}_library_file)
    target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/include)
    # All of it: the program looks whether each exported function was stepped.
    target_link_libraries(${name} PRIVATE ${support} -Wl,--whole-archive
        ${name}_library -Wl,--no-whole-archive Threads::Threads
        ${CMAKE_DL_LIBS} m)
endfunction()

shmq_add_instruction_proof(crash_instruction shmq_static)
shmq_add_test(crash_instruction crash 300 crash_instruction)
shmq_add_test(crash_covered crash 300 crash_instruction --each)

# Everything: some hours of one core.
add_custom_target(crash_full COMMAND crash_instruction --full USES_TERMINAL)

# Negative controls: seeded bugs, each of which a mode must find.
if(PYTHON3)
    shmq_add_test(crash_controls crash 900 ${PYTHON3}
        ${CMAKE_CURRENT_SOURCE_DIR}/crash/instruction/controls)
endif()
