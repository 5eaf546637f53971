// Any bytes as an ONNX model: a summary or an error, and no initializer has a negative size.
#include "format/onnx.h"
#include "memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const frugal::fuzz::MemoryFile input(data, size);
  const auto summary = frugal::format::read_onnx(input.path());
  if (!summary.ok()) return 0;
  for (const auto& tensor : summary->initializers) {
    if (tensor.size_bytes < 0 || tensor.weight_count < 0) __builtin_trap();
  }
  return 0;
}
