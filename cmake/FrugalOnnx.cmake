# onnx-ml.proto of the pinned wheel through Debian's protoc 3.21: lite runtime, static, hidden. LibTorch carries another
# protobuf, so a target that links this one must never have torch's include path.
find_program(FRUGAL_PROTOC protoc REQUIRED)
find_library(FRUGAL_PROTOBUF_LITE libprotobuf-lite.a REQUIRED)  # not PIC: executables only
set(_gen "${CMAKE_BINARY_DIR}/generated")
file(MAKE_DIRECTORY ${_gen}/onnx)
add_custom_command(OUTPUT ${_gen}/onnx/onnx-ml.pb.cc ${_gen}/onnx/onnx-ml.pb.h
  COMMAND ${FRUGAL_PROTOC} --cpp_out=lite:${_gen}/onnx -I ${FRUGAL_SITE}/onnx ${FRUGAL_SITE}/onnx/onnx-ml.proto
  DEPENDS ${FRUGAL_SITE}/onnx/onnx-ml.proto VERBATIM)
add_library(frugal_onnx_proto STATIC ${_gen}/onnx/onnx-ml.pb.cc ${_gen}/onnx/onnx-ml.pb.h)
target_include_directories(frugal_onnx_proto SYSTEM PUBLIC ${_gen})
set_target_properties(frugal_onnx_proto PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
target_compile_options(frugal_onnx_proto PRIVATE -w -O1)
target_link_libraries(frugal_onnx_proto PUBLIC ${FRUGAL_PROTOBUF_LITE} Threads::Threads)
# An executable must not export our protobuf to LibTorch. Nor anything else of an archive; but clang's sanitizers are archives
# whose malloc has to be exported: without that libc allocates by its own, and the first free of such memory ends the program.
set(_hidden ALL)
if(FRUGAL_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  set(_hidden libprotobuf-lite.a libfrugal_onnx_proto.a)
endif()
foreach(archive ${_hidden})  # one option each: at a list with colons mold 1.10 takes memory until there is none
  target_link_options(frugal_onnx_proto INTERFACE LINKER:--exclude-libs,${archive})
endforeach()
