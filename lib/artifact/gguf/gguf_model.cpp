#include "artifact/gguf/gguf_model.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <set>

#include "architecture/gguf_names.h"
#include "architecture/tensors.h"
#include "artifact/exact_layout.h"
#include "artifact/gguf/file_type.h"
#include "artifact/gguf/gguf_card.h"
#include "artifact/gguf/gguf_tokenizer.h"
#include "artifact/gguf/hyperparameters.h"
#include "artifact/gguf/pre_tokenizer_names.h"
#include "artifact/gguf/tensor_scales.h"
#include "artifact/onnx/rotary.h"
#include "base/process.h"
#include "base/text.h"
#include "format/convert.h"

namespace frugal::artifact {

namespace {

using base::invalid_argument;
using base::str_cat;
using format::GgufValue;

// The bytes that go into the file for one tensor, and their type.
struct Payload {
  format::GgmlType type;
  std::vector<std::byte> owned = {};
  format::TensorBytes stored = {};
  std::span<const std::byte> bytes = {};
};

std::vector<std::byte> permute_rows(std::span<const std::byte> bytes, int64_t rows, int64_t heads) {
  const std::vector<int64_t> order = interleaved_row_order(rows, heads);
  const size_t row_bytes = bytes.size() / static_cast<size_t>(rows);
  std::vector<std::byte> result(bytes.size());
  for (int64_t row = 0; row < rows; ++row) {
    std::memcpy(&result[row * row_bytes], &bytes[order[row] * row_bytes], row_bytes);
  }
  return result;
}

// The grid or element type of a matrix in the file. `found`: those it has in the checkpoint.
absl::StatusOr<std::string> type_in_file(const std::string& weight, const std::string& found,
                                         bool is_grid, int64_t columns) {
  if (!is_grid) return found;
  FRUGAL_ASSIGN_OR_RETURN(const auto target, gguf_grid_for(found, columns));
  if (!target.has_value()) return no_gguf_layout(weight, found);
  return *target;
}

absl::StatusOr<std::string> type_in_file(const format::Checkpoint& checkpoint,
                                         const architecture::Tensor& part) {
  if (const auto entry = checkpoint.quantized().find(part.name);
      entry != checkpoint.quantized().end()) {
    return type_in_file(part.name, entry->second.grid, true, entry->second.columns);
  }
  FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, checkpoint.info(part.name));
  return std::string(format::name(info.dtype));
}

// Rows that llama.cpp holds in one tensor have one type there.
absl::Status check_fused(
    const GgufSource& source,
    const std::function<absl::StatusOr<std::string>(const architecture::Tensor&)>& type_of_part) {
  if (source.parts.size() < 2) return absl::OkStatus();
  const architecture::Tensor& first = source.parts.front();
  FRUGAL_ASSIGN_OR_RETURN(const std::string expected, type_of_part(first));
  for (const architecture::Tensor& part : source.parts) {
    FRUGAL_ASSIGN_OR_RETURN(const std::string type, type_of_part(part));
    if (type == expected) continue;
    return invalid_argument("cannot write ", part.name, " to GGUF: it is ", type, " there, but ",
                            first.name, " is ", expected, ", and llama.cpp holds both in one ",
                            "tensor, ", source.name, "; quantize both on one grid (overrides)");
  }
  return absl::OkStatus();
}

absl::StatusOr<format::GgmlType> type_of(const format::Checkpoint& checkpoint,
                                         const GgufSource& source) {
  if (source.is_fp32()) return format::ggml_type("F32");
  const architecture::Tensor& first = source.parts.front();
  FRUGAL_RETURN_IF_ERROR(check_fused(
      source, [&](const architecture::Tensor& part) { return type_in_file(checkpoint, part); }));
  FRUGAL_ASSIGN_OR_RETURN(const std::string type, type_in_file(checkpoint, first));
  if (!checkpoint.quantized().contains(first.name)) return format::ggml_type(type);
  FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(type, first.shape.back()));
  return format::ggml_type(*grid->spec().ggml_type);
}

absl::StatusOr<Payload> quantized_payload(const format::Checkpoint& checkpoint,
                                          const std::string& weight, Payload payload) {
  FRUGAL_ASSIGN_OR_RETURN(const grid::QuantizedMatrix codes, checkpoint.codes(weight));
  FRUGAL_ASSIGN_OR_RETURN(const auto name, gguf_grid_for(codes.grid->spec().name, codes.columns));
  FRUGAL_ASSIGN_OR_RETURN(const auto target, grid::find_grid(*name, codes.columns));
  FRUGAL_ASSIGN_OR_RETURN(const grid::QuantizedMatrix moved, move_exactly(codes, target));
  payload.owned = grid::pack_matrix(moved);
  payload.bytes = payload.owned;
  return payload;
}

// Bytes as they are stored, which nobody looked at yet: NaN and infinity are refused as
// Checkpoint::values does.
absl::Status refuse_not_finite(const format::Checkpoint& checkpoint, const std::string& weight,
                               std::span<const std::byte> bytes) {
  FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, checkpoint.info(weight));
  if (!format::first_not_finite(info.dtype, bytes)) return absl::OkStatus();
  return checkpoint.values(weight).status();
}

absl::StatusOr<Payload> float_payload(const format::Checkpoint& checkpoint,
                                      const GgufSource& source, const std::string& weight,
                                      Payload payload) {
  if (!source.is_fp32()) {
    FRUGAL_ASSIGN_OR_RETURN(payload.stored, checkpoint.bytes(weight));
    payload.bytes = payload.stored;
    FRUGAL_RETURN_IF_ERROR(refuse_not_finite(checkpoint, weight, payload.bytes));
    return payload;
  }
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<float> values,
                          checkpoint.values(weight));  // refuses NaN
  std::vector<float> stored = values;
  if (source.offset != 0 || source.factor != 1) {
    for (float& value : stored)
      value = static_cast<float>((static_cast<double>(value) + source.offset) * source.factor);
  }
  payload.owned.resize(stored.size() * sizeof(float));
  std::memcpy(payload.owned.data(), stored.data(), payload.owned.size());
  payload.bytes = payload.owned;
  return payload;
}

absl::StatusOr<Payload> payload_of(const format::Checkpoint& checkpoint, const GgufSource& source,
                                   const std::string& weight, Payload payload) {
  if (checkpoint.quantized().contains(weight))
    return quantized_payload(checkpoint, weight, std::move(payload));
  return float_payload(checkpoint, source, weight, std::move(payload));
}

absl::StatusOr<Payload> payload_of(const format::Checkpoint& checkpoint, const GgufSource& source) {
  Payload payload;
  FRUGAL_ASSIGN_OR_RETURN(payload.type, type_of(checkpoint, source));
  if (source.parts.empty()) {
    const std::vector<float> factors = gguf_rope_factors(checkpoint.config(), source.name);
    payload.owned.resize(factors.size() * sizeof(float));
    std::memcpy(payload.owned.data(), factors.data(), payload.owned.size());
    payload.bytes = payload.owned;
    return payload;
  }
  if (source.parts.size() > 1) {
    for (const architecture::Tensor& part : source.parts) {
      FRUGAL_ASSIGN_OR_RETURN(const Payload rows, payload_of(checkpoint, source, part.name,
                                                             Payload{.type = payload.type}));
      payload.owned.insert(payload.owned.end(), rows.bytes.begin(), rows.bytes.end());
    }
    payload.bytes = payload.owned;
    return payload;
  }
  absl::StatusOr<Payload> result =
      payload_of(checkpoint, source, source.parts.front().name, std::move(payload));
  if (!result.ok() || source.permuted_heads == 0) return result;
  result->owned = permute_rows(result->bytes, source.shape[0], source.permuted_heads);
  result->bytes = result->owned;
  return result;
}

// The matrices of the layers as they will stand in the file.
absl::StatusOr<std::vector<StoredMatrix>> stored_matrices(const format::Checkpoint& checkpoint,
                                                          const std::vector<GgufSource>& sources) {
  std::vector<StoredMatrix> matrices;
  for (const GgufSource& source : sources) {
    for (const architecture::Tensor& part : source.parts) {
      if (!part.is_stage_matrix()) continue;
      StoredMatrix matrix{.layer = part.layer,
                          .role = part.role,
                          .columns = part.shape[1],
                          .elements = part.shape[0] * part.shape[1]};
      FRUGAL_ASSIGN_OR_RETURN(matrix.type, type_in_file(checkpoint, part));
      matrices.push_back(std::move(matrix));
    }
  }
  return matrices;
}

// Every tensor of the file in its order: the model's, then their scales.
absl::StatusOr<std::vector<format::GgufWriter::Declaration>> declarations_of(
    const format::Checkpoint& checkpoint, const std::vector<GgufSource>& sources,
    const std::vector<GgufScale>& scales) {
  std::vector<format::GgufWriter::Declaration> declarations;
  for (const GgufSource& source : sources) {
    FRUGAL_ASSIGN_OR_RETURN(const format::GgmlType type, type_of(checkpoint, source));
    declarations.push_back({source.name, source.shape, type});
  }
  FRUGAL_ASSIGN_OR_RETURN(const format::GgmlType fp32, format::ggml_type("F32"));
  for (const GgufScale& scale : scales)
    declarations.push_back({scale.name, {static_cast<int64_t>(scale.values.size())}, fp32});
  return declarations;
}

}  // namespace

std::vector<float> gguf_rope_factors(const architecture::ModelConfig& config,
                                     std::string_view name) {
  const architecture::Attention& attention = config.layers.front().attention;
  if (name != kGgufRopeFrequencies) {
    const architecture::RopeScaling& scaling = attention.rope.scaling.value();
    const auto& factors = name == kGgufLongFactors ? scaling.long_factors : scaling.short_factors;
    return {factors.begin(), factors.end()};
  }
  architecture::Rope plain = attention.rope;
  plain.scaling.reset();
  const std::vector<float> scaled = rotary_frequencies(attention.rope, attention.head_size);
  const std::vector<float> unscaled = rotary_frequencies(plain, attention.head_size);
  std::vector<float> factors;
  for (size_t i = 0; i < scaled.size(); ++i) factors.push_back(unscaled[i] / scaled[i]);
  return factors;
}

absl::Status check_gguf(const format::ModelInfo& model, const GgufOptions& options) {
  FRUGAL_RETURN_IF_ERROR(base::annotate(check_hyperparameters(model.config),
                                        str_cat("cannot write ", model.name, " to GGUF")));
  if (!model.has_tokenizer) {
    return invalid_argument("cannot write ", model.name,
                            " to GGUF: its folder has no tokenizer, and a GGUF must carry one; "
                            "put tokenizer.json or tokenizer.model beside config.json");
  }
  if (!model.activations.empty()) {
    return invalid_argument(
        "cannot write ", model.name, " to GGUF: it rounds inputs to int8 per token (",
        model.activations.begin()->first,
        ", ...), and no GGUF type says so: llama.cpp rounds the inputs of "
        "q8_0 in blocks of its own; export to onnx, or quantize with activations: none");
  }
  for (const auto& [weight, grid_name] : model.grids) {
    const int64_t columns = 256;  // only whole rows depend on it, and those have no GGUF layout
    if (base::glob_match("*:row*", grid_name)) {
      return invalid_argument("cannot write ", weight, " to GGUF: grid ", grid_name,
                              " has one scale per row; use q8_0 or q4_0");
    }
    FRUGAL_ASSIGN_OR_RETURN(const auto target, gguf_grid_for(grid_name, columns));
    if (!target.has_value()) return no_gguf_layout(weight, grid_name);
  }
  const std::vector<GgufSource> sources = gguf_tensors(model.config);
  FRUGAL_RETURN_IF_ERROR(gguf_tensor_scales(model.config, sources, grid_of_weight(model)).status());
  for (const GgufSource& source : sources) {
    FRUGAL_RETURN_IF_ERROR(check_fused(source, [&](const architecture::Tensor& part) {
      const auto grid = model.grids.find(part.name);
      const bool on_grid = grid != model.grids.end();
      return type_in_file(part.name, on_grid ? grid->second : model.dtype, on_grid,
                          part.shape.back());
    }));
  }
  if (!options.pre_tokenizer.empty())
    FRUGAL_RETURN_IF_ERROR(check_pre_tokenizer_name(options.pre_tokenizer));
  if (model.tokenizer_folder.empty()) return absl::OkStatus();
  FRUGAL_ASSIGN_OR_RETURN(const auto tokenizer, text::shared_tokenizer(model.tokenizer_folder));
  GgufMetadata metadata;
  return add_tokenizer(model.config, *tokenizer, options, metadata);
}

absl::StatusOr<GgufMetadata> gguf_metadata(const architecture::ModelConfig& config,
                                           const text::Tokenizer& tokenizer, std::string_view name,
                                           uint32_t file_type, bool quantized,
                                           const GgufOptions& options) {
  GgufMetadata metadata;
  FRUGAL_ASSIGN_OR_RETURN(const std::string_view architecture,
                          architecture::gguf_architecture(config));
  metadata.emplace_back("general.architecture", std::string(architecture));
  metadata.emplace_back("general.type", std::string("model"));
  metadata.emplace_back("general.name", std::string(name));
  metadata.emplace_back("general.file_type", file_type);
  if (quantized) metadata.emplace_back("general.quantization_version", uint32_t{2});
  add_making(options.making, metadata);
  add_gguf_card(config, metadata);
  add_hyperparameters(config, architecture, metadata);
  FRUGAL_RETURN_IF_ERROR(add_tokenizer(config, tokenizer, options, metadata));
  return metadata;
}

absl::StatusOr<size_t> gguf_part_count(const format::Checkpoint& checkpoint,
                                       const GgufOptions& options) {
  const std::vector<GgufSource> sources = gguf_tensors(checkpoint.config());
  FRUGAL_ASSIGN_OR_RETURN(const auto scales, gguf_tensor_scales(checkpoint.config(), sources,
                                                                grid_of_weight(checkpoint)));
  FRUGAL_ASSIGN_OR_RETURN(const auto declarations, declarations_of(checkpoint, sources, scales));
  std::vector<int64_t> sizes;
  for (const format::GgufWriter::Declaration& tensor : declarations) {
    FRUGAL_ASSIGN_OR_RETURN(const int64_t bytes,
                            format::gguf_size_bytes(tensor.type, tensor.shape));
    sizes.push_back(bytes);
  }
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<size_t> parts,
                          format::gguf_part_of_tensors(sizes, options.max_part_bytes));
  return parts.back() + 1;
}

absl::Status write_gguf(const format::Checkpoint& checkpoint, const text::Tokenizer& tokenizer,
                        std::string_view name, const std::filesystem::path& path,
                        const GgufOptions& options) {
  const std::vector<GgufSource> sources = gguf_tensors(checkpoint.config());
  FRUGAL_ASSIGN_OR_RETURN(const auto matrices, stored_matrices(checkpoint, sources));
  const uint32_t file_type = gguf_file_type(matrices, checkpoint.config());
  FRUGAL_ASSIGN_OR_RETURN(const GgufMetadata metadata,
                          gguf_metadata(checkpoint.config(), tokenizer, name, file_type,
                                        !checkpoint.quantized().empty(), options));
  FRUGAL_ASSIGN_OR_RETURN(const auto scales, gguf_tensor_scales(checkpoint.config(), sources,
                                                                grid_of_weight(checkpoint)));
  FRUGAL_ASSIGN_OR_RETURN(const auto declarations, declarations_of(checkpoint, sources, scales));
  FRUGAL_ASSIGN_OR_RETURN(
      format::GgufModelWriter writer,
      format::GgufModelWriter::create(path, metadata, declarations, options.max_part_bytes));
  for (size_t i = 0; i < sources.size(); ++i) {
    if (i + 1 < sources.size()) {
      for (const architecture::Tensor& part : sources[i + 1].parts)
        checkpoint.read_ahead(part.name);
    }
    FRUGAL_ASSIGN_OR_RETURN(const Payload payload, payload_of(checkpoint, sources[i]));
    FRUGAL_RETURN_IF_ERROR(writer.write(sources[i].name, payload.bytes));
    if (payload.stored.is_mapped()) base::release_pages(payload.stored);
  }
  for (const GgufScale& scale : scales)
    FRUGAL_RETURN_IF_ERROR(writer.write(scale.name, std::as_bytes(std::span(scale.values))));
  return writer.commit();
}

}  // namespace frugal::artifact
