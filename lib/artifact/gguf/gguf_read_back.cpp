// Tested by: tests/artifact/read_back_test.cpp
#include "artifact/gguf/gguf_read_back.h"

#include <cstring>
#include <functional>
#include <numeric>

#include "artifact/exact_layout.h"
#include "artifact/gguf/gguf_model.h"
#include "artifact/gguf/gguf_tensors.h"
#include "artifact/gguf/tensor_scales.h"
#include "artifact/read_back.h"
#include "base/interrupt.h"
#include "base/process.h"
#include "base/text.h"
#include "format/convert.h"
#include "format/gguf.h"
#include "grid/grid.h"

namespace frugal::artifact {
namespace {

using architecture::Tensor;
using base::str_cat;
using format::Checkpoint;
using format::DType;
using format::GgufFile;
using format::GgufTensor;

// Rows of a weight as they lie in the file.
struct FileRows {
  std::string_view file;
  const GgufTensor& tensor;
  const GgufSource& source;
  std::span<const std::byte> bytes;  // of this weight
  std::vector<int64_t> order;        // row r of the file is row order[r] of the weight
  size_t row_bytes = 0;
};

absl::StatusOr<std::shared_ptr<const grid::Grid>> grid_of(const GgufTensor& tensor) {
  for (const std::string& name : gguf_grid_names()) {
    FRUGAL_ASSIGN_OR_RETURN(auto grid, grid::find_grid(name, 0));
    if (grid->spec().ggml_type == tensor.type.id) return grid;
  }
  return nullptr;
}

absl::StatusOr<std::vector<float>> decoded(const GgufTensor& tensor,
                                           std::span<const std::byte> bytes, int64_t rows,
                                           int64_t columns) {
  std::vector<float> values(static_cast<size_t>(rows * columns));
  FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid_of(tensor));
  if (grid != nullptr) {
    FRUGAL_ASSIGN_OR_RETURN(const auto matrix, grid::unpack_matrix(grid, rows, columns, bytes));
    grid::decode_matrix(matrix, values.data());
    return values;
  }
  FRUGAL_ASSIGN_OR_RETURN(const DType type, format::parse_dtype(tensor.type.name));
  format::convert_to_f32(type, bytes, values.data());
  return values;
}

// Whether the checkpoint has the weight in the file's very type.
absl::StatusOr<bool> is_same_type(const Checkpoint& checkpoint, const Tensor& part,
                                  const FileRows& rows) {
  if (rows.source.offset != 0 || rows.source.factor != 1) return false;
  const auto entry = checkpoint.quantized().find(part.name);
  if (entry != checkpoint.quantized().end()) {
    FRUGAL_ASSIGN_OR_RETURN(const auto grid,
                            grid::find_grid(entry->second.grid, entry->second.columns));
    return grid->spec().ggml_type == rows.tensor.type.id;
  }
  FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, checkpoint.info(part.name));
  return format::name(info.dtype) == rows.tensor.type.name;
}

absl::Status same_stored(const Checkpoint& checkpoint, const Tensor& part, const FileRows& rows) {
  FRUGAL_ASSIGN_OR_RETURN(const format::TensorBytes stored, checkpoint.bytes(part.name));
  const std::span<const std::byte> expected(stored.data(), stored.size());
  if (expected.size() != rows.bytes.size())
    return same_bytes(rows.file, str_cat("'", part.name, "'"), rows.bytes, expected);
  for (size_t row = 0; row < rows.order.size(); ++row) {
    const auto found = rows.bytes.subspan(row * rows.row_bytes, rows.row_bytes);
    const auto wanted =
        expected.subspan(static_cast<size_t>(rows.order[row]) * rows.row_bytes, rows.row_bytes);
    if (std::memcmp(found.data(), wanted.data(), rows.row_bytes) == 0) continue;
    return same_bytes(rows.file, str_cat("'", part.name, "', row ", rows.order[row], ","), found,
                      wanted);
  }
  if (stored.is_mapped()) base::release_pages(expected);
  return absl::OkStatus();
}

absl::Status same_decoded(const Checkpoint& checkpoint, const Tensor& part, const FileRows& rows) {
  const auto count = static_cast<int64_t>(rows.order.size());
  FRUGAL_ASSIGN_OR_RETURN(std::vector<float> expected, checkpoint.values(part.name));
  const int64_t columns = static_cast<int64_t>(expected.size()) / count;
  if (rows.source.offset != 0 || rows.source.factor != 1) {
    for (float& value : expected)
      value = static_cast<float>((static_cast<double>(value) + rows.source.offset) *
                                 rows.source.factor);
  }
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<float> found,
                          decoded(rows.tensor, rows.bytes, count, columns));
  std::vector<float> in_place(found.size());
  for (size_t row = 0; row < rows.order.size(); ++row) {
    std::copy_n(&found[row * static_cast<size_t>(columns)], columns,
                &in_place[static_cast<size_t>(rows.order[row] * columns)]);
  }
  return same_values(rows.file, part.name, columns, in_place, expected);
}

// Of stacks all together; a vector's are its elements.
int64_t row_count(const std::vector<int64_t>& shape) {
  if (shape.size() < 2) return shape.front();
  return std::accumulate(shape.begin(), shape.end() - 1, int64_t{1}, std::multiplies<>());
}

absl::Status read_back_parts(const Checkpoint& checkpoint, const GgufFile& file,
                             const GgufTensor& tensor, const GgufSource& source,
                             std::string_view where) {
  std::span<const std::byte> bytes = file.bytes(tensor);
  const size_t row_bytes = bytes.size() / static_cast<size_t>(row_count(source.shape));
  for (const Tensor& part : source.parts) {
    const int64_t count = row_count(part.shape);
    const size_t size = static_cast<size_t>(count) * row_bytes;
    FileRows rows{where, tensor, source, bytes.first(size), {}, row_bytes};
    if (source.permuted_heads > 0) {
      rows.order = interleaved_row_order(count, source.permuted_heads);
    } else {
      rows.order.resize(static_cast<size_t>(count));
      std::iota(rows.order.begin(), rows.order.end(), 0);
    }
    FRUGAL_ASSIGN_OR_RETURN(const bool same_type, is_same_type(checkpoint, part, rows));
    FRUGAL_RETURN_IF_ERROR(same_type ? same_stored(checkpoint, part, rows)
                                     : same_decoded(checkpoint, part, rows));
    bytes = bytes.subspan(size);
  }
  base::release_pages(file.bytes(tensor));
  return absl::OkStatus();
}

absl::Status read_back_tensor(const Checkpoint& checkpoint, const GgufFile& file,
                              const GgufSource& source, std::string_view where) {
  const GgufTensor* tensor = file.find_tensor(source.name);
  if (tensor == nullptr) return differs(where, "the tensor '", source.name, "' is missing");
  if (tensor->shape != source.shape) {
    return differs(where, "'", source.name, "' is ", format::shape_text(tensor->shape),
                   ", expected ", format::shape_text(source.shape));
  }
  if (!source.parts.empty()) return read_back_parts(checkpoint, file, *tensor, source, where);
  const std::vector<float> expected = gguf_rope_factors(checkpoint.config(), source.name);
  return same_bytes(where, str_cat("'", source.name, "'"), file.bytes(*tensor),
                    std::as_bytes(std::span(expected)));
}

absl::Status read_back_scale(const GgufFile& file, const GgufScale& scale, std::string_view where) {
  const GgufTensor* tensor = file.find_tensor(scale.name);
  if (tensor == nullptr) return differs(where, "the tensor '", scale.name, "' is missing");
  return same_bytes(where, str_cat("'", scale.name, "'"), file.bytes(*tensor),
                    std::as_bytes(std::span(scale.values)));
}

absl::Status read_back_metadata(const Checkpoint& checkpoint, const text::Tokenizer& tokenizer,
                                std::string_view name, const GgufFile& file, size_t parts,
                                const GgufOptions& options, std::string_view where) {
  constexpr std::string_view kFileType = "general.file_type";
  const format::GgufValue* type = file.find(kFileType);
  if (type == nullptr || !std::holds_alternative<uint32_t>(*type))
    return differs(where, "the key '", kFileType, "' is missing or no number");
  FRUGAL_ASSIGN_OR_RETURN(
      GgufMetadata expected,
      gguf_metadata(checkpoint.config(), tokenizer, name, std::get<uint32_t>(*type),
                    !checkpoint.quantized().empty(), options));
  for (auto& key : format::gguf_split_metadata(0, parts, file.tensors().size()))
    expected.push_back(std::move(key));
  for (const auto& [key, value] : expected) {
    const format::GgufValue* found = file.find(key);
    if (found == nullptr || *found != value)
      return differs(where, "the key '", key, "' ", found == nullptr ? "is missing" : "differs");
  }
  if (file.metadata().size() == expected.size()) return absl::OkStatus();
  return differs(where, "there are ", file.metadata().size(), " keys, expected ", expected.size());
}

}  // namespace

absl::Status read_back_gguf(const Checkpoint& checkpoint, const text::Tokenizer& tokenizer,
                            std::string_view name, const std::filesystem::path& path,
                            const GgufOptions& options) {
  FRUGAL_ASSIGN_OR_RETURN(const size_t parts, gguf_part_count(checkpoint, options));
  const std::filesystem::path first = format::gguf_part(path, 0, parts);
  const std::string where = first.string();
  FRUGAL_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open_model(first));
  FRUGAL_RETURN_IF_ERROR(
      read_back_metadata(checkpoint, tokenizer, name, file, parts, options, where));
  const std::vector<GgufSource> sources = gguf_tensors(checkpoint.config());
  for (const GgufSource& source : sources) {
    FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
    FRUGAL_RETURN_IF_ERROR(read_back_tensor(checkpoint, file, source, where));
  }
  FRUGAL_ASSIGN_OR_RETURN(const auto scales, gguf_tensor_scales(checkpoint.config(), sources,
                                                                grid_of_weight(checkpoint)));
  for (const GgufScale& scale : scales) FRUGAL_RETURN_IF_ERROR(read_back_scale(file, scale, where));
  const size_t count = sources.size() + scales.size();
  if (file.tensors().size() == count) return absl::OkStatus();
  return differs(where, "there are ", file.tensors().size(), " tensors, expected ", count);
}

}  // namespace frugal::artifact
