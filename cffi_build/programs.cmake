# Programs made from the data plane: the tests in C under sanitizers, or the fuzzers. SPDX-License-Identifier: MIT

set(sanitizers -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g)

if(HWGW_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "HWGW_FUZZ=ON needs clang: configure with -DCMAKE_C_COMPILER=clang")
  endif()
  target_compile_options(hwgw_core PRIVATE ${sanitizers} -fsanitize=fuzzer-no-link)
  file(GLOB program_sources CONFIGURE_DEPENDS "${root}/tests/fuzz/fuzz_*.c")
  list(APPEND sanitizers -fsanitize=fuzzer)
else()
  target_compile_options(hwgw_core PRIVATE ${sanitizers})
  file(GLOB program_sources CONFIGURE_DEPENDS "${root}/tests/c/test_*.c")
endif()

# the simulated exchange under the same sanitizers, for the programs that use it
file(GLOB_RECURSE sim_sources CONFIGURE_DEPENDS "${root}/sim/*.c")
add_library(hwgw_sim_static STATIC EXCLUDE_FROM_ALL ${sim_sources})
hwgw_compile(hwgw_sim_static)
target_compile_options(hwgw_sim_static PRIVATE -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
target_include_directories(hwgw_sim_static PUBLIC "${root}/sim" "${root}/sim/include")
add_dependencies(hwgw_sim_static hwgw_core) # for the generated headers
target_link_libraries(hwgw_sim_static PUBLIC hwgw_static) # the bad line

foreach(source IN LISTS program_sources)
  get_filename_component(name "${source}" NAME_WE)
  add_executable(${name} "${source}")
  hwgw_compile(${name})
  target_compile_options(${name} PRIVATE ${sanitizers})
  target_link_options(${name} PRIVATE ${sanitizers})
  target_link_libraries(${name} PRIVATE hwgw_static)
  if(name MATCHES "exchange|feed")
    target_link_libraries(${name} PRIVATE hwgw_sim_static)
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
endforeach()
