# LibTorch from the pinned PyPI wheel, as hand-made imported targets: a CPU build needs neither CUDA nor
# find_package(Torch). The run path finds the compiler's libgomp, then the LibTorch of the build; an installed
# executable also one beside its folder (INSTALL_RPATH of the executables).
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
if(FRUGAL_CUDA)  # the executable opens these on demand (lib/tensor/device.cpp)
  foreach(library torch/lib/libtorch_cuda.so nvidia/cu13/lib/libcublas.so.13)
    if(NOT EXISTS ${FRUGAL_SITE}/${library})
      message(FATAL_ERROR "FRUGAL_CUDA is on, but ${FRUGAL_SITE}/${library} is missing: run scripts/setup --cuda")
    endif()
  endforeach()
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
# cmake/libtorch: headers that stand before LibTorch's own, for the sake of the build's time
target_include_directories(frugal_torch SYSTEM INTERFACE ${CMAKE_CURRENT_LIST_DIR}/libtorch ${_torch}/include ${_torch}/include/torch/csrc/api/include)
target_compile_definitions(frugal_torch INTERFACE AT_PER_OPERATOR_HEADERS)
target_compile_options(frugal_torch INTERFACE $<$<COMPILE_LANGUAGE:CXX>:${FRUGAL_OPENMP}>)
target_link_options(frugal_torch INTERFACE ${FRUGAL_OPENMP})  # OpenMP::OpenMP_CXX makes CMake warn about the run path
target_link_libraries(frugal_torch INTERFACE frugal_torch_cpu frugal_c10)
foreach(d ${_gomp_dir} ${_torch}/lib ${FRUGAL_SITE}/nvidia/cu13/lib ${FRUGAL_SITE}/nvidia/nccl/lib)
  target_link_options(frugal_torch INTERFACE LINKER:-rpath,${d})  # this order; survives install
endforeach()
