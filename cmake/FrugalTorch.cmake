# LibTorch from the pinned PyPI wheel, as hand-made imported targets: a CPU build needs neither CUDA nor
# find_package(Torch). The run path finds, in this order: the compiler's libgomp, a LibTorch beside the installed
# folder ($ORIGIN/../torch/lib), and the one of the build.
if(NOT FRUGAL_SITE)
  file(GLOB FRUGAL_SITE "${CMAKE_SOURCE_DIR}/.venv/lib/python3.*/site-packages")
endif()
set(_torch "${FRUGAL_SITE}/torch")
if(NOT EXISTS "${_torch}/lib/libtorch_cpu.so")
  message(FATAL_ERROR "No LibTorch below '${FRUGAL_SITE}': run scripts/setup, or set FRUGAL_SITE to the "
    "site-packages folder that holds torch 2.11.0")
endif()
file(STRINGS "${_torch}/version.py" _version REGEX "^__version__")
if(NOT _version MATCHES "'2\\.11\\.0[+']")
  message(FATAL_ERROR "LibTorch below '${FRUGAL_SITE}' is ${_version}, expected 2.11.0: run scripts/setup")
endif()
execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=libgomp.so.1
  OUTPUT_VARIABLE _gomp OUTPUT_STRIP_TRAILING_WHITESPACE)
file(REAL_PATH "${_gomp}" _gomp)
cmake_path(GET _gomp PARENT_PATH _gomp_dir)
foreach(l c10 torch_cpu)
  add_library(frugal_${l} SHARED IMPORTED)
  set_target_properties(frugal_${l} PROPERTIES IMPORTED_LOCATION ${_torch}/lib/lib${l}.so)
endforeach()
add_library(frugal_torch INTERFACE)
add_library(frugal::torch ALIAS frugal_torch)
target_include_directories(frugal_torch SYSTEM INTERFACE ${_torch}/include ${_torch}/include/torch/csrc/api/include)
target_compile_definitions(frugal_torch INTERFACE AT_PER_OPERATOR_HEADERS)
target_compile_options(frugal_torch INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fopenmp>)
target_link_options(frugal_torch INTERFACE -fopenmp)  # OpenMP::OpenMP_CXX makes CMake warn about the run path
target_link_libraries(frugal_torch INTERFACE frugal_torch_cpu frugal_c10)
foreach(d ${_gomp_dir} [=[$ORIGIN/../torch/lib]=] ${_torch}/lib ${FRUGAL_SITE}/nvidia/cu13/lib
    ${FRUGAL_SITE}/nvidia/nccl/lib)
  target_link_options(frugal_torch INTERFACE LINKER:-rpath,${d})  # this order; survives install
endforeach()
if(FRUGAL_PCH)
  file(WRITE ${CMAKE_BINARY_DIR}/torch_pch.cpp.new "")
  configure_file(${CMAKE_BINARY_DIR}/torch_pch.cpp.new ${CMAKE_BINARY_DIR}/torch_pch.cpp COPYONLY)
  add_library(frugal_torch_pch OBJECT ${CMAKE_BINARY_DIR}/torch_pch.cpp)
  target_link_libraries(frugal_torch_pch PRIVATE frugal::torch)
  target_precompile_headers(frugal_torch_pch PRIVATE <ATen/ATen.h> <ATen/Parallel.h> <ATen/core/grad_mode.h>
    <c10/core/InferenceMode.h> <torch/csrc/autograd/autograd.h> <torch/csrc/autograd/custom_function.h>)
endif()
function(frugal_use_torch target)
  target_link_libraries(${target} PUBLIC frugal::torch)
  if(FRUGAL_PCH)
    target_precompile_headers(${target} REUSE_FROM frugal_torch_pch)
  endif()
endfunction()
