# C++ is optional: it checks that the headers work there and builds one peer of
# the latency lab. Sets SHMQ_CXX when a compiler of the same make is there.
include(CheckLanguage)

set(SHMQ_CXX OFF)
check_language(CXX)
if(CMAKE_CXX_COMPILER)
    enable_language(CXX)
    if(CMAKE_CXX_COMPILER_ID STREQUAL CMAKE_C_COMPILER_ID)
        set(SHMQ_CXX ON)
    endif()
endif()
if(NOT SHMQ_CXX)
    message(STATUS "shmq: no matching C++ compiler, C++ parts are left out")
endif()
