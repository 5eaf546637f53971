// GGUF v3: container only; which keys and names a model needs is the exporter's business.
// Grammar: docs/gguf.md of ggml; the reader refuses at least what llama.cpp's gguf.cpp refuses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"

namespace frugal::format {

// Arrays hold one scalar type. Nested arrays are refused. The order of the alternatives is not the
// file's type number.
using GgufValue = std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, float, bool,
                               std::string, uint64_t, int64_t, double, std::vector<uint32_t>,
                               std::vector<int32_t>, std::vector<float>, std::vector<std::string>,
                               std::vector<bool>, std::vector<uint8_t>, std::vector<int8_t>,
                               std::vector<uint16_t>, std::vector<int16_t>, std::vector<uint64_t>,
                               std::vector<int64_t>, std::vector<double>>;

// ggml tensor type ids (ggml.h) that frugal reads or writes.
struct GgmlType {
  uint32_t id = 0;
  std::string_view name;  // "Q4_K"
  int64_t block_elements = 1;
  int64_t block_bytes = 4;
};
// Errors: InvalidArgument for ids and names that are not (or no longer) types of files.
absl::StatusOr<GgmlType> ggml_type(uint32_t id);
absl::StatusOr<GgmlType> ggml_type(std::string_view name);

struct GgufTensor {
  std::string name;            // at most 63 bytes
  std::vector<int64_t> shape;  // PyTorch order [rows, columns]; the file stores the reverse
  GgmlType type;
  int64_t offset = 0;  // relative to the data section
  int64_t size_bytes = 0;
  size_t part = 0;  // of a model in several files: which of them
};

// Bytes of a tensor [.., columns] of `type`. Errors: a row that is no multiple of the block,
// overflow.
absl::StatusOr<int64_t> gguf_size_bytes(const GgmlType& type, const std::vector<int64_t>& shape);

class GgufFile {
 public:
  // Maps and validates; reads no tensor data. Errors: InvalidArgument or DataLoss with file, place
  // and reason.
  static absl::StatusOr<GgufFile> open(const std::filesystem::path& path);
  // The same, of a model that may lie in several files (gguf_parts); its metadata are the first
  // one's. Errors: as gguf_parts, parts that are not of one model, tensors that are there twice or
  // not counted.
  static absl::StatusOr<GgufFile> open_model(const std::filesystem::path& path);
  uint32_t version() const { return version_; }
  const std::vector<std::pair<std::string, GgufValue>>& metadata() const { return metadata_; }
  const GgufValue* find(std::string_view key) const;  // null when absent
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  const GgufTensor* find_tensor(std::string_view name) const;
  std::span<const std::byte> bytes(const GgufTensor& tensor) const;

 private:
  struct Part {
    base::MappedFile file;
    int64_t data_begin = 0;
  };
  absl::Status append(GgufFile part);
  std::vector<Part> parts_;
  uint32_t version_ = 0;
  std::vector<std::pair<std::string, GgufValue>> metadata_;
  std::vector<GgufTensor> tensors_;
  base::string_map<size_t> key_index_;
  base::string_map<size_t> tensor_index_;
};

// The files of the model whose first is `path`, in order: itself, or as many as `split.count` says
// beside it, NAME-00001-of-00003.gguf and so on. Errors: a part that is not the first, with the
// name of that; a name that does not say so; parts that are missing.
absl::StatusOr<std::vector<std::filesystem::path>> gguf_parts(const std::filesystem::path& path);

// The file of one of `count` parts of the model `path`: "NAME-00002-of-00003.gguf" for part 1 of
// "NAME.gguf", which is the file of a part that is the only one.
std::filesystem::path gguf_part(const std::filesystem::path& path, size_t part, size_t count);

// The stem of a model's file, whichever part of it: "NAME" of "NAME" and of "NAME-00002-of-00003".
std::string gguf_model_stem(std::string_view stem);

// What a part of a model in several says of itself; nothing where it is the only one. As
// llama-gguf-split: these are the last keys of the first part, and the only ones of the others.
std::vector<std::pair<std::string, GgufValue>> gguf_split_metadata(size_t part, size_t count,
                                                                   size_t tensors);

// The part of each tensor, in their order, where parts hold at most `max_part_bytes` of tensors
// (and whatever metadata) or a single larger tensor: where llama-gguf-split --split-max-size cuts.
// Errors: more parts than their names can count.
absl::StatusOr<std::vector<size_t>> gguf_part_of_tensors(const std::vector<int64_t>& tensor_bytes,
                                                         int64_t max_part_bytes);

// Declares metadata and tensors, then streams tensor data in declaration order.
class GgufWriter {
 public:
  struct Declaration {
    std::string name;
    std::vector<int64_t> shape;  // PyTorch order
    GgmlType type;
  };
  // Errors: InvalidArgument for what the reader (and llama.cpp) would refuse.
  static absl::StatusOr<GgufWriter> create(
      const std::filesystem::path& path,
      const std::vector<std::pair<std::string, GgufValue>>& metadata,
      const std::vector<Declaration>& tensors);
  absl::Status write(std::string_view name, std::span<const std::byte> bytes);
  absl::Status commit();
  const std::vector<GgufTensor>& tensors() const { return tensors_; }

 private:
  GgufWriter(base::AtomicFile file, std::vector<GgufTensor> tensors, int64_t alignment);
  base::AtomicFile file_;
  std::vector<GgufTensor> tensors_;
  int64_t alignment_ = 32;
  size_t next_ = 0;
};

// The same of a model in one file, `path`, or in several beside each other (gguf_part). All parts
// are written under temporary names; `commit` gives the final ones, that of the first part, without
// which nobody finds the others, last. After an error none of them is left.
class GgufModelWriter {
 public:
  // Errors: those of GgufWriter::create and gguf_part_of_tensors.
  static absl::StatusOr<GgufModelWriter> create(
      const std::filesystem::path& path,
      const std::vector<std::pair<std::string, GgufValue>>& metadata,
      const std::vector<GgufWriter::Declaration>& tensors, int64_t max_part_bytes);
  absl::Status write(std::string_view name, std::span<const std::byte> bytes);
  absl::Status commit();

 private:
  struct Part {
    std::filesystem::path path;
    GgufWriter writer;
    size_t left = 0;  // tensors to come
  };
  std::vector<Part> parts_;
  size_t current_ = 0;
};

}  // namespace frugal::format
