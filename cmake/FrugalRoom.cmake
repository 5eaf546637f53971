# A room is one static library under lib/<room>. Its headers are seen as "<room>/<header>.h", and only by targets that
# name the room in USES: each room has an include directory of its own, so an arrow that is not declared does not compile.

# Lower rooms first; a room may use only rooms before it.
set(FRUGAL_ROOMS base energy grid architecture format chat text tasks tensor kernels model layerwise train evaluate artifact runtime pass passes report)
set(FRUGAL_TORCH_FREE_ROOMS base energy grid architecture format chat text tasks runtime pass report)
set(FRUGAL_INSTRUCTION_SET_ROOMS grid kernels)  # with sources for several of them (FrugalPch.cmake)

# Rooms that read what others wrote: scripts/test-sanitized runs their tests with sanitizers.
set(FRUGAL_SANITIZED_ROOMS base grid architecture format chat text tasks)
add_custom_target(sanitized_tests)

# frugal_room(<room> [TORCH] [COLD] SOURCES <file>... [USES <room>...] [PACKAGES <target>...])
#   USES      rooms whose headers this room's headers or sources include
#   PACKAGES  third-party targets, private: no header of theirs may appear in a public header of the room
#   TORCH     links LibTorch
#   COLD      no loop of it matters: optimized only as far as that is fast to compile
function(frugal_room room)
  cmake_parse_arguments(ROOM "TORCH;COLD" "" "SOURCES;USES;PACKAGES" ${ARGN})
  list(FIND FRUGAL_ROOMS ${room} own)
  if(own EQUAL -1)
    message(FATAL_ERROR "Room '${room}' is not in FRUGAL_ROOMS (cmake/FrugalRoom.cmake)")
  endif()
  set(include_dir ${CMAKE_BINARY_DIR}/include/${room})
  file(MAKE_DIRECTORY ${include_dir})
  file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${include_dir}/${room} SYMBOLIC)
  add_library(frugal_${room} STATIC ${ROOM_SOURCES})
  add_library(frugal::${room} ALIAS frugal_${room})
  target_include_directories(frugal_${room} PUBLIC ${include_dir})
  foreach(used ${ROOM_USES})
    list(FIND FRUGAL_ROOMS ${used} position)
    if(position EQUAL -1 OR NOT position LESS own)
      message(FATAL_ERROR "Room '${room}' may not use '${used}': only rooms before it in FRUGAL_ROOMS")
    endif()
    target_link_libraries(frugal_${room} PUBLIC frugal::${used})
  endforeach()
  target_link_libraries(frugal_${room} PRIVATE ${ROOM_PACKAGES})
  if(ROOM_COLD)
    frugal_optimize_little(frugal_${room})
  endif()
  if(ROOM_TORCH)
    if(room IN_LIST FRUGAL_TORCH_FREE_ROOMS)
      message(FATAL_ERROR "Room '${room}' must stay free of LibTorch")
    endif()
    target_link_libraries(frugal_${room} PUBLIC frugal::torch)
    frugal_use_pch(frugal_${room} frugal_torch_pch)
    frugal_compile_in_batches(frugal_${room})
  elseif(NOT room IN_LIST FRUGAL_INSTRUCTION_SET_ROOMS)
    frugal_use_pch(frugal_${room} frugal_core_pch)
  endif()
endfunction()

# frugal_room_test(<room> [TORCH] [CPU_LEVELS] SOURCES <file>... [USES <room>...] [PACKAGES <target>...]): one GoogleTest
# executable and one CTest entry per room (starting a process that links LibTorch is slow), labelled with the room's name.
# CPU_LEVELS: one entry more, <room>.avx2, that runs as on a CPU without AVX-512, for rooms that choose loops, or
# whose outcomes rest on such loops.
# Tests find their data through the environment: FRUGAL_SHARED_DATA (real material, may be absent), see tests/support.
set(FRUGAL_WITHOUT_AVX512 FRUGAL_CPU_LEVEL=avx2 ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2
  ONEDNN_MAX_CPU_ISA=AVX2)
function(frugal_room_test room)
  if(NOT FRUGAL_TESTS)
    return()
  endif()
  cmake_parse_arguments(TEST "TORCH;CPU_LEVELS" "" "SOURCES;USES;PACKAGES" ${ARGN})
  set(target frugal_${room}_test)
  add_executable(${target} ${TEST_SOURCES})
  target_link_libraries(${target} PRIVATE frugal::${room} frugal::test_support ${TEST_PACKAGES})
  foreach(used ${TEST_USES})
    target_link_libraries(${target} PRIVATE frugal::${used})
  endforeach()
  if(TEST_TORCH)
    frugal_use_torch_in_test(${target})
  elseif(NOT room IN_LIST FRUGAL_INSTRUCTION_SET_ROOMS)  # those have OpenMP, too
    frugal_use_pch(${target} frugal_core_test_pch)
  endif()
  if(FRUGAL_INSTALL_TESTS)  # to be carried to a machine that has LibTorch but none of our packages
    set_target_properties(${target} PROPERTIES INSTALL_RPATH "$ORIGIN/../../torch/lib;$ORIGIN/../../../torch/lib")
    install(TARGETS ${target} RUNTIME DESTINATION libexec/frugal)
  endif()
  set(environment OMP_WAIT_POLICY=PASSIVE FRUGAL_SHARED_DATA=${FRUGAL_SHARED_DATA} FRUGAL_SOURCE_DIR=${CMAKE_SOURCE_DIR}
    FRUGAL_EXECUTABLE=$<$<TARGET_EXISTS:frugal>:$<TARGET_FILE:frugal>>)
  add_test(NAME ${room} COMMAND ${target})
  set_tests_properties(${room} PROPERTIES LABELS ${room} TIMEOUT 600 ENVIRONMENT "${environment}")
  if(room IN_LIST FRUGAL_SANITIZED_ROOMS)
    add_dependencies(sanitized_tests ${target})
    set_property(TEST ${room} APPEND PROPERTY LABELS sanitized)
  endif()
  if(TEST_CPU_LEVELS)
    add_test(NAME ${room}.avx2 COMMAND ${target})
    set_tests_properties(${room}.avx2 PROPERTIES LABELS "${room};avx2" TIMEOUT 900
      ENVIRONMENT "${environment};${FRUGAL_WITHOUT_AVX512}")
  endif()
endfunction()

function(frugal_use_torch_in_test target)
  target_link_libraries(${target} PRIVATE frugal::torch)
  frugal_use_pch(${target} frugal_torch_test_pch)
endfunction()

# frugal_gpu_test(<room> [TORCH] SOURCES <file>...): tests that need a CUDA device, labelled gpu. They skip without one, and
# fail without one where FRUGAL_REQUIRE_GPU=1.
function(frugal_gpu_test room)
  cmake_parse_arguments(TEST "TORCH" "" "SOURCES" ${ARGN})
  set(target frugal_${room}_gpu_test)
  add_executable(${target} ${TEST_SOURCES})
  target_link_libraries(${target} PRIVATE frugal::${room} frugal::test_support)
  if(TEST_TORCH)
    frugal_use_torch_in_test(${target})
  endif()
  if(FRUGAL_HAS_CUDA_MODULE)
    add_dependencies(${target} frugal_cuda)
  endif()
  add_test(NAME ${room}_gpu COMMAND ${target})
  set_tests_properties(${room}_gpu PROPERTIES LABELS gpu TIMEOUT 600 SKIP_REGULAR_EXPRESSION "no CUDA device: "
    ENVIRONMENT "OMP_WAIT_POLICY=PASSIVE;FRUGAL_CUDA_MODULE=${CMAKE_BINARY_DIR}/bin/libfrugal_cuda.so")
endfunction()
