# libfrugal_cuda.so: our CUDA kernels, opened by the executable on demand (lib/kernels/cuda_module.h). Compiling needs
# nvcc and no GPU; everything else builds, starts and works without it.
#   FRUGAL_CUDA_MODULE         AUTO: where nvcc 12 or newer is found; ON: nvcc is required; OFF: never
#   FRUGAL_CUDA_ARCHITECTURES  compute capabilities with machine code; of the last one PTX for newer GPUs as well
set(FRUGAL_CUDA_MODULE AUTO CACHE STRING "Build the CUDA kernels: AUTO, ON or OFF")
set_property(CACHE FRUGAL_CUDA_MODULE PROPERTY STRINGS AUTO ON OFF)
set(FRUGAL_CUDA_ARCHITECTURES "80;90" CACHE STRING "Compute capabilities of the CUDA kernels, for example 80;86;89;90")

# nvcc is called by name, not through enable_language(CUDA): no compiler tests at configure time, and flags that decide
# over the last bit stand here in full.
function(_frugal_find_nvcc)
  find_program(FRUGAL_NVCC nvcc PATHS ${FRUGAL_SITE}/nvidia/cu13/bin /usr/local/cuda/bin)
  if(NOT FRUGAL_NVCC)
    set(_problem "no nvcc found (scripts/setup --cuda installs one)" PARENT_SCOPE)
    return()
  endif()
  execute_process(COMMAND ${FRUGAL_NVCC} --version OUTPUT_VARIABLE text ERROR_QUIET)
  string(REGEX MATCH "release ([0-9]+)\\.([0-9]+)" _ "${text}")
  if(NOT CMAKE_MATCH_1 OR CMAKE_MATCH_1 LESS 12)
    set(_problem "${FRUGAL_NVCC} is older than CUDA 12 or does not run" PARENT_SCOPE)
    return()
  endif()
  set(FRUGAL_CUDA_VERSION "${CMAKE_MATCH_1}.${CMAKE_MATCH_2}" PARENT_SCOPE)
  set(_problem "" PARENT_SCOPE)
endfunction()

set(FRUGAL_HAS_CUDA_MODULE OFF)
if(FRUGAL_CUDA AND FRUGAL_CUDA_MODULE STREQUAL "AUTO")
  set(FRUGAL_CUDA_MODULE ON)
endif()
if(FRUGAL_CUDA_MODULE STREQUAL "AUTO" AND FRUGAL_SANITIZE)
  message(STATUS "CUDA kernels: not built with sanitizers")
elseif(FRUGAL_CUDA_MODULE)
  _frugal_find_nvcc()
  if(NOT _problem)
    set(FRUGAL_HAS_CUDA_MODULE ON)
    list(JOIN FRUGAL_CUDA_ARCHITECTURES " " _shown)
    message(STATUS "CUDA kernels: nvcc ${FRUGAL_CUDA_VERSION}, compute capabilities ${_shown}")
  elseif(FRUGAL_CUDA_MODULE STREQUAL "AUTO")
    message(STATUS "CUDA kernels: not built, ${_problem}")
  else()
    message(FATAL_ERROR "CUDA kernels are required (FRUGAL_CUDA_MODULE), but ${_problem}")
  endif()
endif()

# frugal_cuda_module(SOURCES <file>...): the module, beside the executable and installed there. Sources see the headers of
# the room kernels only, and no LibTorch.
function(frugal_cuda_module)
  if(NOT FRUGAL_HAS_CUDA_MODULE)
    return()
  endif()
  cmake_parse_arguments(MODULE "" "" "SOURCES" ${ARGN})
  set(output ${CMAKE_BINARY_DIR}/bin/libfrugal_cuda.so)
  set(depfile ${CMAKE_CURRENT_BINARY_DIR}/frugal_cuda.d)
  set(names "")
  set(code "")
  foreach(a ${FRUGAL_CUDA_ARCHITECTURES})
    list(APPEND code -gencode arch=compute_${a},code=sm_${a})
    string(APPEND names " sm_${a}")
    set(last ${a})
  endforeach()
  list(APPEND code -gencode arch=compute_${last},code=compute_${last})
  list(TRANSFORM MODULE_SOURCES PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/ OUTPUT_VARIABLE sources)
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
  # -fmad=false: fused multiply-adds only where the code says so, as in the CPU kernels. Never --use_fast_math. The static
  # runtime lets the module load beside any LibTorch, or none.
  add_custom_command(OUTPUT ${output}
    COMMAND ${FRUGAL_CCACHE} ${FRUGAL_NVCC} -std=c++17 -O3 -fmad=false --cudart static -shared
      -ccbin ${CMAKE_CXX_COMPILER} -Xcompiler -fPIC,-fvisibility=hidden,-Wall -Xlinker --exclude-libs,ALL ${code}
      "-DFRUGAL_CUDA_BUILD=\"CUDA ${FRUGAL_CUDA_VERSION},${names} ptx_${last}\""
      -I ${CMAKE_BINARY_DIR}/include/kernels -MMD -MF ${depfile} -MT ${output} -o ${output} ${sources}
    DEPENDS ${sources} DEPFILE ${depfile} COMMENT "Compiling CUDA kernels" VERBATIM)
  add_custom_target(frugal_cuda ALL DEPENDS ${output})
  install(PROGRAMS ${output} DESTINATION libexec/frugal)
endfunction()
