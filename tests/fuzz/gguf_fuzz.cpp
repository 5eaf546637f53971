// Any bytes as a GGUF file: a value or an error, and every accepted tensor lies inside the file.
#include "format/gguf.h"
#include "memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const frugal::fuzz::MemoryFile input(data, size);
  const auto file = frugal::format::GgufFile::open(input.path());
  if (!file.ok()) return 0;
  volatile unsigned sum = 0;
  for (const auto& tensor : file->tensors()) {
    for (const std::byte byte : file->bytes(tensor)) sum = sum + static_cast<unsigned>(byte);
  }
  return 0;
}
