# Precompiled headers: what nearly every source includes is read once. They halve the build's time. Not for the rooms that are
# compiled for several instruction sets: what a header instantiates would be of whichever set its source asks for.
#   frugal_core_pch        JSON, Status and the standard library
#   frugal_torch_pch       and ATen; not torch/csrc/autograd, whose templates every source would instantiate for the few that use it
#   frugal_core_test_pch, frugal_torch_test_pch   and GoogleTest (tests/CMakeLists.txt)
set(FRUGAL_CORE_HEADERS <algorithm> <array> <cmath> <cstdint> <filesystem> <functional> <map> <memory> <optional> <set> <span>
  <string> <string_view> <utility> <variant> <vector> <base/json.h> <base/status.h>)
set(FRUGAL_TORCH_HEADERS <ATen/Parallel.h> <ATen/core/grad_mode.h> <c10/core/InferenceMode.h> <tensor/aten.h>)
set(FRUGAL_TEST_HEADERS <gmock/gmock.h> <gtest/gtest.h>)

# frugal_precompiled(<name> HEADERS <header>... [LINK <target>...]): a target whose header frugal_use_pch() gives to others.
function(frugal_precompiled name)
  if(NOT FRUGAL_PCH)
    return()
  endif()
  cmake_parse_arguments(PCH "" "" "HEADERS;LINK" ${ARGN})
  set(source ${CMAKE_BINARY_DIR}/${name}.cpp)
  if(NOT EXISTS ${source})
    file(WRITE ${source} "")
  endif()
  add_library(${name} OBJECT ${source})
  target_include_directories(${name} PRIVATE ${CMAKE_BINARY_DIR}/include/base ${CMAKE_BINARY_DIR}/include/tensor)
  target_link_libraries(${name} PRIVATE ${PCH_LINK})
  target_precompile_headers(${name} PRIVATE ${PCH_HEADERS})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")  # a header built twice is the same, so that ccache finds what uses it
    target_compile_options(${name} PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
  endif()
endfunction()

function(frugal_use_pch target name)
  if(FRUGAL_PCH)
    target_precompile_headers(${target} REUSE_FROM ${name})
  endif()
endfunction()

frugal_precompiled(frugal_core_pch HEADERS ${FRUGAL_CORE_HEADERS})
frugal_precompiled(frugal_torch_pch HEADERS ${FRUGAL_TORCH_HEADERS} ${FRUGAL_CORE_HEADERS} LINK frugal::torch)
