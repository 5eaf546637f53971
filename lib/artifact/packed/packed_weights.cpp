// Tested by: tests/artifact/packed_importer_test.cpp
#include "artifact/packed/packed_weights.h"

#include <algorithm>

#include "artifact/packed/stored_modules.h"
#include "base/interrupt.h"
#include "base/process.h"
#include "base/text.h"
#include "format/checkpoint_files.h"

namespace frugal::artifact {
namespace {

using architecture::ModelConfig;
using architecture::Role;
using base::str_cat;
using format::CheckpointWriter;

// Tools pack such matrices by the rows of their products, and leave others as they are stored.
absl::Status refuse_transposed(const StoredTensors& tensors, const ModelConfig& config) {
  for (const architecture::Tensor& tensor : architecture::tensors(config)) {
    if (!tensor.slice || !tensor.slice->transposed) continue;
    return base::unimplemented(
        tensors.where(), ": a ", config.architecture, " stores '", tensor.slice->name,
        "' transposed, and packed folders of such models are not read: start "
        "from the unquantized model");
  }
  return absl::OkStatus();
}

// What was looked at need not stay in memory.
void release(const StoredTensors& tensors, const PackedImport& import) {
  for (const std::string& name : import.tensors) base::release_pages(tensors.view(name).bytes);
}

absl::Status plan_plain(const StoredTensors& tensors, PackedImport& import) {
  FRUGAL_ASSIGN_OR_RETURN(const StoredView view,
                          tensors.want(stored_name(import), kScaleTypes, {stored_shape(import)},
                                       "a module that is not packed"));
  import.tensors = {view.info->name};
  import.type = format::name(view.info->dtype);
  for (const architecture::Tensor& part : import.parts)
    import.declared.push_back({.name = part.name, .dtype = view.info->dtype, .shape = part.shape});
  return absl::OkStatus();
}

absl::Status plan_packed(const StoredTensors& tensors, const PackedMatrix& matrix,
                         PackedImport& import) {
  import.packed = true;
  import.type = describe(matrix);
  for (const std::string& name : matrix.tensors) {
    if (tensors.has(name)) import.tensors.push_back(name);
  }
  auto choice = choose_grid(matrix);
  if (!choice.ok())
    return base::annotate(choice.status(),
                          str_cat(tensors.where(), ": '", import.module.name, "'"));
  import.choice = *std::move(choice);
  for (const architecture::Tensor& part : import.parts) {
    import.declared.push_back({.name = part.name, .shape = part.shape, .grid = import.choice.grid});
    if (matrix.int8_inputs && import.choice.grid && part.is_stage_matrix())
      import.declared.back().activations = format::Activations::kInt8;
  }
  return absl::OkStatus();
}

bool all_bytes_are_zero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(),
                     [](std::byte byte) { return byte == std::byte{0}; });
}

// A stored head of a model whose head is its embedding must say the same.
absl::StatusOr<bool> is_tied_head(const StoredTensors& tensors, const ModelConfig& config,
                                  const std::string& name) {
  const std::string head = architecture::tensor_name(config, Role::kHead);
  const std::string embedding = architecture::tensor_name(config, Role::kEmbedding);
  if (!config.tied_embeddings || name != head || !tensors.has(embedding)) return false;
  const auto one = tensors.view(head).bytes, other = tensors.view(embedding).bytes;
  const bool same = std::equal(one.begin(), one.end(), other.begin(), other.end());
  base::release_pages(one);
  base::release_pages(other);
  if (same) return true;
  return base::invalid_argument(tensors.where(), ": config.json ties the embeddings, but '", head,
                                "' differs from '", embedding,
                                "'; set \"tie_word_embeddings\" to false, or remove '", head, "'");
}

// Whatever nothing was made of must be nothing: a table that every reader computes, a head that is
// the embedding, a bias of zeros that older tools gave to every module.
absl::Status check_rest(const StoredTensors& tensors, const ModelConfig& config,
                        const std::set<std::string>& used, const std::set<std::string>& packed,
                        PackedPlan& plan) {
  constexpr std::string_view kBias = ".bias";
  for (const std::string& name : tensors.names()) {
    if (used.contains(name) || format::is_computed_buffer(name)) continue;
    FRUGAL_ASSIGN_OR_RETURN(const bool tied, is_tied_head(tensors, config, name));
    if (tied) continue;
    const bool is_bias =
        name.ends_with(kBias) && packed.contains(name.substr(0, name.size() - kBias.size()));
    if (is_bias && all_bytes_are_zero(tensors.view(name).bytes)) {
      ++plan.zero_biases;
      continue;
    }
    return base::invalid_argument(
        tensors.where(), ": the tensor '", name, "' is not one that a ", config.architecture,
        " of ", config.layer_count(), " layers has", is_bias ? ", and its bias is not zero" : "",
        "; check the architecture, and what the folder says of its quantization");
  }
  return absl::OkStatus();
}

std::span<const std::byte> rows_of(std::span<const std::byte> bytes,
                                   const architecture::Tensor& part, int64_t element_bytes) {
  int64_t count = element_bytes;
  for (const int64_t dimension : part.shape) count *= dimension;
  const int64_t row = part.slice ? part.slice->first_row : 0;
  const int64_t row_bytes = (part.is_matrix() ? part.shape.back() : 1) * element_bytes;
  return bytes.subspan(static_cast<size_t>(row * row_bytes), static_cast<size_t>(count));
}

absl::Status write_plain(const StoredTensors& tensors, const PackedImport& import,
                         CheckpointWriter& writer, const std::function<void()>& moved) {
  const StoredView view = tensors.view(stored_name(import.parts.front()));
  for (const architecture::Tensor& part : import.parts) {
    FRUGAL_RETURN_IF_ERROR(
        writer.write(part.name, rows_of(view.bytes, part, format::size_bytes(view.info->dtype))));
    moved();
  }
  base::release_pages(view.bytes);
  return absl::OkStatus();
}

absl::Status write_packed(const PackedMatrix& matrix, const PackedImport& import,
                          CheckpointWriter& writer, const std::function<void()>& moved) {
  for (const architecture::Tensor& part : import.parts) {
    const int64_t first = part.slice ? part.slice->first_row : 0, count = part.shape[0];
    if (import.choice.grid) {
      FRUGAL_ASSIGN_OR_RETURN(const auto codes,
                              codes_on_grid(matrix, *import.choice.grid, first, count));
      FRUGAL_RETURN_IF_ERROR(writer.write_codes(part.name, codes));
    } else {
      // As bytes, which the writer takes without a copy.
      FRUGAL_ASSIGN_OR_RETURN(const auto values, decoded_rows(matrix, first, count));
      FRUGAL_RETURN_IF_ERROR(writer.write(part.name, std::as_bytes(std::span(values))));
    }
    moved();
  }
  return absl::OkStatus();
}

}  // namespace

const std::string& stored_name(const PackedImport& import) {
  return stored_name(import.parts.front());
}

const std::vector<int64_t>& stored_shape(const PackedImport& import) {
  const architecture::Tensor& part = import.parts.front();
  return part.slice ? part.slice->shape : part.shape;
}

absl::StatusOr<PackedPlan> plan_packed_weights(const StoredTensors& tensors, const Layout& layout,
                                               const ModelConfig& config) {
  FRUGAL_RETURN_IF_ERROR(refuse_transposed(tensors, config));
  PackedPlan plan;
  for (StoredModule& stored : stored_modules(config))
    plan.imports.push_back({.module = std::move(stored.module), .parts = std::move(stored.parts)});
  std::set<std::string> used, packed;
  for (PackedImport& import : plan.imports) {
    FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
    std::optional<PackedMatrix> matrix;
    if (import.module.columns > 0) {
      FRUGAL_ASSIGN_OR_RETURN(matrix, layout.find(tensors, import.module));
    }
    FRUGAL_RETURN_IF_ERROR(matrix ? plan_packed(tensors, *matrix, import)
                                  : plan_plain(tensors, import));
    used.insert(import.tensors.begin(), import.tensors.end());
    if (!matrix) continue;
    packed.insert(import.module.name);
    if (matrix->int8_inputs && !import.choice.grid) ++plan.inputs_left;
    release(tensors, import);
  }
  FRUGAL_RETURN_IF_ERROR(check_rest(tensors, config, used, packed, plan));
  if (!packed.empty()) return plan;
  return base::invalid_argument(tensors.where(),
                                ": the config speaks of packed weights, but all are plain numbers "
                                "(the model was probably saved after it was unpacked): delete the "
                                "key 'quantization_config' from config.json");
}

absl::Status write_packed_weights(const StoredTensors& tensors, const Layout& layout,
                                  const PackedPlan& plan, CheckpointWriter& writer,
                                  const std::function<void()>& moved) {
  for (const PackedImport& import : plan.imports) {
    FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
    if (!import.packed) {
      FRUGAL_RETURN_IF_ERROR(write_plain(tensors, import, writer, moved));
      continue;
    }
    FRUGAL_ASSIGN_OR_RETURN(const auto matrix, layout.find(tensors, import.module));
    FRUGAL_RETURN_IF_ERROR(
        base::annotate(write_packed(*matrix, import, writer, moved),
                       str_cat(tensors.where(), ": '", import.module.name, "'")));
    release(tensors, import);
  }
  return absl::OkStatus();
}

}  // namespace frugal::artifact
