// Tested by: tests/artifact/gguf_importer_test.cpp
#include "artifact/gguf/gguf_weights_reader.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

#include "artifact/exact_layout.h"
#include "artifact/gguf/tensor_scales.h"
#include "base/interrupt.h"
#include "base/process.h"
#include "base/text.h"
#include "format/convert.h"
#include "grid/float4.h"
#include "grid/grid.h"

namespace frugal::artifact {
namespace {

using architecture::ModelConfig;
using base::invalid_argument;
using base::str_cat;
using format::GgufTensor;

// The element type of plain numbers that checkpoints have, too.
std::optional<format::DType> plain_type(const format::GgmlType& type) {
  for (const format::DType dtype :
       {format::DType::kF32, format::DType::kF16, format::DType::kBF16}) {
    if (type.name == format::name(dtype)) return dtype;
  }
  return std::nullopt;
}

// The grid whose blocks are those of the type, byte for byte.
std::optional<std::string> grid_of(const format::GgmlType& type) {
  for (const std::string& name : gguf_grid_names()) {
    const auto grid = grid::find_grid(name, 0);
    if (grid.ok() && (*grid)->spec().ggml_type == type.id) return name;
  }
  return std::nullopt;
}

std::string types_read() {
  std::string names;
  for (const std::string& name : gguf_grid_names()) names += name + ", ";
  return names + "F32, F16, BF16";
}

// The numbers of the metadata that a shape follows from.
std::string sizes(const ModelConfig& config, const architecture::Tensor& part) {
  const size_t layer = static_cast<size_t>(part.in_layer() ? part.layer : 0);
  const architecture::Layer& at = config.layers[layer];
  return str_cat(at.attention.heads, " heads and ", at.attention.key_value_heads,
                 " key/value heads of ", at.attention.head_size, ", ", config.hidden_size,
                 " channels, ", at.feed_forward.width, " neurons, ", config.vocabulary_size,
                 " pieces");
}

constexpr uint32_t kNvfp4 = 40;  // ggml's type, the one that tensor scales are for

// The grids of NVFP4 blocks by their tensor scales; without one for all parts they are decoded.
absl::Status plan_scaled(const format::GgufFile& file, GgufImport& import) {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<float> scales, read_gguf_scales(file, import.source));
  std::vector<std::string> grids;
  for (const float scale : scales) grids.push_back(grid::nvfp4_name(scale));
  const bool on_grids = std::none_of(grids.begin(), grids.end(),
                                     [](const std::string& name) { return name.empty(); });
  if (!on_grids) import.tensor_scales = scales;
  for (size_t i = 0; i < import.declared.size(); ++i) {
    if (on_grids) {
      import.declared[i].grid = grids[i];
    } else {
      import.declared[i].grid.reset();
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<GgufImport> plan_tensor(const GgufValues& values, const ModelConfig& config,
                                       GgufSource source) {
  GgufImport result{.source = std::move(source)};
  const GgufSource& wanted = result.source;
  result.tensor = values.file().find_tensor(wanted.name);
  if (result.tensor == nullptr) {
    return invalid_argument(values.where(), ": the tensor '", wanted.name, "' is missing, which a ",
                            config.architecture, " of ", config.layer_count(), " layers has");
  }
  const GgufTensor& found = *result.tensor;
  if (found.shape != wanted.shape) {
    const std::string demand =
        wanted.parts.empty() ? "" : str_cat(" (", sizes(config, wanted.parts.front()), ")");
    return invalid_argument(values.where(), ": the tensor '", wanted.name, "' is ",
                            format::shape_text(found.shape), ", but the metadata demand ",
                            format::shape_text(wanted.shape), demand);
  }
  const auto dtype = plain_type(found.type);
  const auto grid = grid_of(found.type);
  const bool is_vector = found.shape.size() < 2;
  if (!dtype && (!grid || is_vector)) {
    return base::unimplemented(values.where(), ": the tensor '", wanted.name, "' is of type ",
                               found.type.name, is_vector ? ", and a vector" : "",
                               "; frugal reads ", is_vector ? "F32, F16, BF16" : types_read(),
                               "; take the model in another quantization, or its Hugging Face "
                               "folder");
  }
  for (const architecture::Tensor& part : wanted.parts) {
    format::CheckpointWriter::Tensor declared{.name = part.name, .shape = part.shape};
    if (!is_vector && dtype) declared.dtype = *dtype;
    if (!dtype) declared.grid = grid;
    result.declared.push_back(std::move(declared));
  }
  if (found.type.id == kNvfp4)
    FRUGAL_RETURN_IF_ERROR(base::annotate(plan_scaled(values.file(), result), values.where()));
  return result;
}

absl::Status refuse_others(const GgufValues& values, const ModelConfig& config) {
  std::set<std::string, std::less<>> known = {std::string(kGgufRopeFrequencies)};
  for (const GgufSource& source : gguf_tensors(config)) {
    known.insert(source.name);
    const GgufTensor* const matrix = values.file().find_tensor(source.name);
    if (matrix != nullptr && matrix->type.id == kNvfp4) known.insert(gguf_scale_name(source.name));
  }
  for (const GgufTensor& tensor : values.file().tensors()) {
    if (known.contains(tensor.name)) continue;
    return base::unimplemented(values.where(), ": the tensor '", tensor.name,
                               "' is not one that a ", config.architecture,
                               " has; what it is for would be passed over");
  }
  return absl::OkStatus();
}

// Rows of the file back in the order of the weight.
std::vector<std::byte> unpermuted(std::span<const std::byte> bytes, int64_t rows, int64_t heads) {
  const std::vector<int64_t> order = interleaved_row_order(rows, heads);
  const size_t row_bytes = bytes.size() / static_cast<size_t>(rows);
  std::vector<std::byte> result(bytes.size());
  for (size_t row = 0; row < order.size(); ++row)
    std::memcpy(&result[static_cast<size_t>(order[row]) * row_bytes], &bytes[row * row_bytes],
                row_bytes);
  return result;
}

constexpr int64_t kAtOnce = int64_t{1} << 20;  // weights that are looked at

absl::Status check_finite(std::span<const float> weights, int64_t first_row, int64_t columns) {
  const auto bad = format::first_not_finite(weights);
  if (!bad) return absl::OkStatus();
  return base::data_loss("it holds ", std::to_string(weights[*bad]), " at row ",
                         first_row + static_cast<int64_t>(*bad) / columns, ", column ",
                         static_cast<int64_t>(*bad) % columns,
                         "; the file is damaged: copy or download it again");
}

// Whether the rows decode to numbers: some are NaN or infinite, or blocks that no grid has written.
absl::Status check_rows(std::span<const std::byte> bytes,
                        const format::CheckpointWriter::Tensor& part) {
  const int64_t rows = part.shape.size() < 2 ? 1 : part.shape[0], columns = part.shape.back();
  std::shared_ptr<const grid::Grid> grid;
  if (part.grid) {
    FRUGAL_ASSIGN_OR_RETURN(grid, grid::find_grid(*part.grid, columns));
  }
  const int64_t chunk = std::max<int64_t>(1, kAtOnce / columns);
  const size_t row_bytes = bytes.size() / static_cast<size_t>(rows);
  std::vector<float> weights(static_cast<size_t>(std::min(chunk, rows) * columns));
  for (int64_t row = 0; row < rows; row += chunk) {
    const int64_t count = std::min(chunk, rows - row);
    const auto some =
        bytes.subspan(static_cast<size_t>(row) * row_bytes, static_cast<size_t>(count) * row_bytes);
    if (grid != nullptr) {
      FRUGAL_ASSIGN_OR_RETURN(const auto matrix, grid::unpack_matrix(grid, count, columns, some));
      grid::decode_matrix(matrix, weights.data());
    } else {
      format::convert_to_f32(part.dtype, some, weights.data());
    }
    FRUGAL_RETURN_IF_ERROR(
        check_finite({weights.data(), static_cast<size_t>(count * columns)}, row, columns));
  }
  return absl::OkStatus();
}

std::vector<float> vector_values(const GgufTensor& tensor, std::span<const std::byte> bytes,
                                 const GgufSource& source) {
  const format::DType dtype = *plain_type(tensor.type);
  std::vector<float> result(bytes.size() / static_cast<size_t>(format::size_bytes(dtype)));
  format::convert_to_f32(dtype, bytes, result.data());
  if (source.offset == 0 && source.factor == 1) return result;
  for (float& value : result)
    value = static_cast<float>(static_cast<double>(value) / source.factor - source.offset);
  return result;
}

// NVFP4 blocks under a tensor scale, as numbers.
absl::Status write_decoded(std::span<const std::byte> bytes, float tensor_scale,
                           const format::CheckpointWriter::Tensor& part,
                           format::CheckpointWriter& writer) {
  const int64_t rows = part.shape[0], columns = part.shape[1];
  FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(grid::nvfp4_name(1), columns));
  FRUGAL_ASSIGN_OR_RETURN(const auto matrix, grid::unpack_matrix(grid, rows, columns, bytes));
  std::vector<float> weights(static_cast<size_t>(rows * columns));
  grid::decode_matrix(matrix, weights.data());
  for (float& weight : weights) weight *= tensor_scale;
  FRUGAL_RETURN_IF_ERROR(check_finite(weights, 0, columns));
  return writer.write_values(part.name, weights);
}

absl::Status write_tensor(const GgufImport& import, std::span<const std::byte> bytes,
                          format::CheckpointWriter& writer) {
  const GgufSource& source = import.source;
  std::vector<std::byte> moved;
  if (source.permuted_heads > 0) {
    moved = unpermuted(bytes, source.shape[0], source.permuted_heads);
    bytes = moved;
  }
  if (source.shape.size() < 2) {
    const std::vector<float> values = vector_values(*import.tensor, bytes, source);
    FRUGAL_RETURN_IF_ERROR(check_finite(values, 0, source.shape[0]));
    std::span<const float> rest = values;
    for (const format::CheckpointWriter::Tensor& part : import.declared) {
      const auto size = static_cast<size_t>(part.shape[0]);
      FRUGAL_RETURN_IF_ERROR(writer.write_values(part.name, rest.first(size)));
      rest = rest.subspan(size);
    }
    return absl::OkStatus();
  }
  int64_t rows = 1;  // of a stack, too
  for (size_t i = 0; i + 1 < source.shape.size(); ++i) rows *= source.shape[i];
  const size_t row_bytes = bytes.size() / static_cast<size_t>(rows);
  for (size_t i = 0; i < import.declared.size(); ++i) {
    const format::CheckpointWriter::Tensor& part = import.declared[i];
    const size_t size = static_cast<size_t>(part.shape[0]) * row_bytes;
    if (import.tensor_scales.empty()) {
      FRUGAL_RETURN_IF_ERROR(check_rows(bytes.first(size), part));
      FRUGAL_RETURN_IF_ERROR(writer.write(part.name, bytes.first(size)));
    } else {
      FRUGAL_RETURN_IF_ERROR(
          write_decoded(bytes.first(size), import.tensor_scales[i], part, writer));
    }
    bytes = bytes.subspan(size);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<GgufImport>> plan_gguf_weights(const GgufValues& values,
                                                          const ModelConfig& config) {
  std::vector<GgufImport> imports;
  for (GgufSource& source : gguf_tensors(config)) {
    if (source.parts.empty()) continue;  // computed: the config has what it is computed from
    FRUGAL_ASSIGN_OR_RETURN(GgufImport import, plan_tensor(values, config, std::move(source)));
    imports.push_back(std::move(import));
  }
  FRUGAL_RETURN_IF_ERROR(refuse_others(values, config));
  return imports;
}

absl::Status write_gguf_weights(const GgufValues& values, const std::vector<GgufImport>& imports,
                                format::CheckpointWriter& writer,
                                const std::function<void(int64_t)>& moved) {
  for (const GgufImport& import : imports) {
    FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
    const std::span<const std::byte> bytes = values.file().bytes(*import.tensor);
    FRUGAL_RETURN_IF_ERROR(
        base::annotate(write_tensor(import, bytes, writer),
                       str_cat(values.where(), ": the tensor '", import.source.name, "'")));
    base::release_pages(bytes);
    moved(static_cast<int64_t>(bytes.size()));
  }
  return absl::OkStatus();
}

}  // namespace frugal::artifact
