// Rules that the GGUF reader and writer share; internal to this room.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "format/gguf.h"

namespace frugal::format {

using GgufMetadata = std::vector<std::pair<std::string, GgufValue>>;

inline constexpr uint32_t kGgufMagic = 0x46554747;  // "GGUF" read as a little-endian u32
inline constexpr uint32_t kGgufVersion = 3;
inline constexpr int64_t kGgufDefaultAlignment = 32;
inline constexpr size_t kGgufMaxNameBytes = 63;
inline constexpr size_t kGgufMaxDims = 4;

// Type numbers of metadata values.
enum class GgufType : uint32_t {
  kU8 = 0,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64
};

inline int64_t gguf_aligned(int64_t offset, int64_t alignment) {
  return (offset + alignment - 1) / alignment * alignment;
}

// `general.alignment`, 32 where it is absent. Errors: another type than U32, no power of two.
absl::StatusOr<int64_t> gguf_alignment(const GgufMetadata& metadata);

// Keys: not empty, UTF-8, each once. Tensor names: 1 to 63 bytes, each once.
absl::Status check_gguf_keys(const GgufMetadata& metadata);
absl::Status check_gguf_tensor_names(const std::vector<GgufTensor>& tensors);

// Arrays of the tokenizer agree in length; special ids are ids.
absl::Status check_gguf_tokenizer(const GgufMetadata& metadata);

}  // namespace frugal::format
