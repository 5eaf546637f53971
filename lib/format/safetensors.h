// safetensors: one file of named tensors, little-endian.
//
//   file   := u64 header_bytes, header (JSON object, space-padded), data
//   header := {"name": {"dtype": "F32", "shape": [..], "data_offsets": [begin, end]},
//   "__metadata__": {str: str}}
//
// Offsets are relative to data, and the sorted ranges tile it without gap or overlap. Reference
// behavior: huggingface/safetensors tensor.rs; we also refuse duplicate names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "format/dtype.h"

namespace frugal::format {

struct TensorInfo {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  int64_t offset = 0;  // of the first byte, relative to the data section
  int64_t size_bytes = 0;
  int64_t element_count() const;
};

// "[3, 4]", for messages.
std::string shape_text(const std::vector<int64_t>& shape);

class SafetensorsFile {
 public:
  // Maps and validates the file; reads no tensor data. Errors: DataLoss or InvalidArgument naming
  // file and reason.
  static absl::StatusOr<SafetensorsFile> open(const std::filesystem::path& path);
  const std::map<std::string, TensorInfo, std::less<>>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  // The tensor's bytes in the mapping; may be unaligned. Valid while this object (or a copy) lives.
  std::span<const std::byte> bytes(const TensorInfo& tensor) const;

 private:
  base::MappedFile file_;
  int64_t data_begin_ = 0;
  std::map<std::string, TensorInfo, std::less<>> tensors_;
  std::map<std::string, std::string> metadata_;
};

// Streams one file: all infos first (offsets are computed), then the data of each in the order of
// `infos()`: as declared, except that tensors whose size is no multiple of 8 bytes come last
// (widest type first), so that every tensor is aligned to its element size, as torch's reader needs
// it.
class SafetensorsWriter {
 public:
  struct Declaration {
    std::string name;
    DType dtype;
    std::vector<int64_t> shape;
  };
  static absl::StatusOr<SafetensorsWriter> create(
      const std::filesystem::path& path, std::vector<Declaration> tensors,
      const std::map<std::string, std::string>& metadata);
  // Data of the next tensor of infos(); `name` must be it. Errors: wrong order or size.
  absl::Status write(std::string_view name, std::span<const std::byte> bytes);
  // All declared tensors written: publishes the file.
  absl::Status commit();
  const std::vector<TensorInfo>& infos() const { return infos_; }

 private:
  SafetensorsWriter(base::AtomicFile file, std::vector<TensorInfo> infos);
  base::AtomicFile file_;
  std::vector<TensorInfo> infos_;
  size_t next_ = 0;
};

}  // namespace frugal::format
