# Compiler, launcher and linker settings that every target shares.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(FRUGAL_OPTIMIZE -O2 CACHE STRING "Optimization of everything that does not ask for its own")
set(CMAKE_CXX_FLAGS_RELEASE "${FRUGAL_OPTIMIZE} -DNDEBUG")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "${FRUGAL_OPTIMIZE} -g1")
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
option(FRUGAL_PCH "Precompile common headers (cmake/FrugalPch.cmake)" ON)
option(FRUGAL_UNITY "Compile the sources of LibTorch's rooms in batches: a full build takes less, a changed source its whole batch" OFF)
option(FRUGAL_CUDA "Insist on the CUDA set of LibTorch, so that --device cuda works where there is a driver" OFF)
option(FRUGAL_TESTS "Build the tests" ON)
option(FRUGAL_INSTALL_TESTS "Install the test executables, too" OFF)
option(FRUGAL_BENCH "Build the benchmarks" OFF)
set(FRUGAL_SANITIZE "" CACHE STRING "Sanitizers for every target, for example address,undefined")

set(_cxx "$<COMPILE_LANGUAGE:CXX>")
add_compile_options($<${_cxx}:-Wall> $<${_cxx}:-Wextra>
  $<${_cxx}:-Wno-missing-field-initializers>  # designated initializers name what differs from the default
  $<$<CXX_COMPILER_ID:GNU>:$<${_cxx}:-Wno-restrict>>)  # GCC 12: false positives on std::string
if(FRUGAL_SANITIZE)
  add_compile_options(-fsanitize=${FRUGAL_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
  add_link_options(-fsanitize=${FRUGAL_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    add_compile_options(-fsanitize-ignorelist=${CMAKE_SOURCE_DIR}/cmake/sanitizers.ignore)
  endif()
endif()

# clang's own OpenMP runtime must not stand beside the libgomp of LibTorch: with this spelling it leaves the pragmas alone.
set(FRUGAL_OPENMP -fopenmp)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  set(FRUGAL_OPENMP -fopenmp=libgomp)
endif()

find_program(FRUGAL_CCACHE ccache)
if(FRUGAL_CCACHE)  # without both words ccache refuses everything that uses a precompiled header
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros
    CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} ${FRUGAL_CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${FRUGAL_CCACHE})
endif()
find_program(FRUGAL_MOLD mold)
if(FRUGAL_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

function(frugal_optimize_little target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release,RelWithDebInfo>:-O1>)  # the last -O counts
endfunction()

# Sources of a folder are compiled up to eight at a time and share what headers instantiate; names of unnamed namespaces must differ
# within a folder. A source that is added moves its own folder's batches alone.
function(frugal_compile_in_batches target)
  if(NOT FRUGAL_UNITY)
    return()
  endif()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
  get_target_property(sources ${target} SOURCES)
  foreach(source ${sources})
    get_filename_component(folder ${source} DIRECTORY)
    string(MAKE_C_IDENTIFIER "in_${folder}" group)
    math(EXPR count_${group} "0${count_${group}} + 1")
    math(EXPR batch "(${count_${group}} - 1) / 8")
    set_source_files_properties(${source} PROPERTIES UNITY_GROUP ${group}_${batch})
  endforeach()
endfunction()
