// Any bytes as a safetensors file: a value or an error, and every accepted tensor lies inside the
// file.
#include "format/safetensors.h"
#include "memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const frugal::fuzz::MemoryFile input(data, size);
  const auto file = frugal::format::SafetensorsFile::open(input.path());
  if (!file.ok()) return 0;
  volatile unsigned sum = 0;
  for (const auto& [name, info] : file->tensors()) {
    for (const std::byte byte : file->bytes(info)) sum = sum + static_cast<unsigned>(byte);
  }
  return 0;
}
