#include "format/checkpoint_layout.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "architecture/tensors.h"
#include "format/activations.h"
#include "format/checkpoint_files.h"
#include "format/shards.h"

namespace frugal::format {

using base::Json;

namespace {

absl::StatusOr<PlannedTensor> plan_tensor(CheckpointWriter::Tensor tensor, bool in_layer) {
  PlannedTensor planned;
  planned.stored_dtype = tensor.dtype;
  planned.stored_shape = tensor.shape;
  if (tensor.grid) {
    if (tensor.shape.size() != 2) {
      return base::invalid_argument("tensor '", tensor.name, "' has ", tensor.shape.size(),
                                    " dimensions; only matrices can be quantized");
    }
    FRUGAL_ASSIGN_OR_RETURN(planned.grid, grid::find_grid(*tensor.grid, tensor.shape[1]));
    const grid::GridSpec& spec = planned.grid->spec();
    FRUGAL_RETURN_IF_ERROR(grid::check_columns(spec, tensor.shape[1], tensor.name));
    planned.stored_dtype = DType::kU8;
    planned.stored_shape = {tensor.shape[0],
                            tensor.shape[1] / spec.block_columns * spec.block_bytes};
    FRUGAL_RETURN_IF_ERROR(check_activations(tensor.activations, spec, tensor.name, in_layer));
  } else if (tensor.activations != Activations::kFloat) {
    return base::invalid_argument("tensor '", tensor.name, "' is not quantized; activations ",
                                  name(tensor.activations), " need weights on grid int8:row");
  } else if (!is_floating(tensor.dtype)) {
    return base::invalid_argument("tensor '", tensor.name,
                                  "': weights are stored as F32, F16 or BF16, not ",
                                  name(tensor.dtype));
  }
  planned.size_bytes = size_bytes(planned.stored_dtype);
  for (const int64_t dimension : planned.stored_shape) planned.size_bytes *= dimension;
  planned.declared = std::move(tensor);
  return planned;
}

// The declared tensors are exactly the ones of the config, each once, with its shape.
absl::Status check_declared(const architecture::ModelConfig& config,
                            const std::vector<CheckpointWriter::Tensor>& tensors) {
  std::map<std::string_view, const CheckpointWriter::Tensor*> declared;
  for (const CheckpointWriter::Tensor& tensor : tensors) {
    if (!declared.emplace(tensor.name, &tensor).second) {
      return base::invalid_argument("tensor '", tensor.name, "' is declared twice");
    }
  }
  for (const architecture::Tensor& expected : architecture::tensors(config)) {
    const auto found = declared.find(expected.name);
    if (found == declared.end()) {
      return base::invalid_argument("tensor '", expected.name, "' of the config is not declared");
    }
    if (found->second->shape != expected.shape) {
      return base::invalid_argument("tensor '", expected.name,
                                    "' is declared with another shape than the config demands");
    }
    declared.erase(found);
  }
  if (declared.empty()) return absl::OkStatus();
  return base::invalid_argument("tensor '", declared.begin()->first,
                                "' is not one of the config's");
}

// How the planned tensors lie in the files; tells them their places there.
absl::StatusOr<std::vector<FileTensor>> place_tensors(const architecture::ModelConfig& config,
                                                      std::vector<PlannedTensor>& tensors) {
  std::vector<DeclaredTensor> declared;
  for (const PlannedTensor& tensor : tensors) {
    declared.push_back(
        {tensor.declared.name, tensor.stored_dtype, tensor.stored_shape, tensor.grid != nullptr});
  }
  FRUGAL_ASSIGN_OR_RETURN(std::vector<StoredTensor> places, stored_tensors(config, declared));
  std::vector<FileTensor> result;
  for (StoredTensor& place : places) {
    int64_t bytes = 0;
    for (size_t i = 0; i < place.parts.size(); ++i) {
      PlannedTensor& part = tensors[place.parts[i]];
      part.stored = result.size();
      part.offset = place.offsets[i];
      bytes += part.size_bytes;
    }
    result.push_back({.tensor = std::move(place), .size_bytes = bytes});
  }
  return result;
}

// Returns the number of shards.
size_t assign_shards(std::vector<FileTensor>& tensors, int64_t max_shard_bytes) {
  ShardDealer dealer(max_shard_bytes);
  for (FileTensor& tensor : tensors) tensor.shard = dealer.deal(tensor.size_bytes);
  return dealer.count();
}

// The floating-point type that holds most bytes; what other tools call the model's dtype.
std::optional<std::string> main_dtype(const std::vector<PlannedTensor>& tensors) {
  std::map<DType, int64_t> bytes;
  for (const PlannedTensor& tensor : tensors) {
    if (!tensor.grid) bytes[tensor.stored_dtype] += tensor.size_bytes;
  }
  if (bytes.empty()) return std::nullopt;
  const auto largest = std::max_element(
      bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  if (largest->first == DType::kF32) return "float32";
  return largest->first == DType::kF16 ? "float16" : "bfloat16";
}

}  // namespace

absl::StatusOr<CheckpointLayout> lay_out(const architecture::ModelConfig& config,
                                         std::vector<CheckpointWriter::Tensor> tensors,
                                         int64_t max_shard_bytes) {
  FRUGAL_RETURN_IF_ERROR(check_declared(config, tensors));
  CheckpointLayout layout;
  const auto places = architecture::places(config);
  for (CheckpointWriter::Tensor& tensor : tensors) {
    const bool in_layer = places.find(tensor.name)->second.layer != architecture::kNoLayer;
    FRUGAL_ASSIGN_OR_RETURN(PlannedTensor planned, plan_tensor(std::move(tensor), in_layer));
    layout.tensors.push_back(std::move(planned));
  }
  FRUGAL_ASSIGN_OR_RETURN(layout.stored, place_tensors(config, layout.tensors));
  layout.shard_count = assign_shards(layout.stored, max_shard_bytes);
  return layout;
}

Json config_json(const architecture::ModelConfig& config,
                 const std::vector<PlannedTensor>& tensors) {
  Json json = architecture::to_json(config);
  if (const std::optional<std::string> dtype = main_dtype(tensors)) {
    json["torch_dtype"] = *dtype;
    if (json.contains("dtype")) json["dtype"] = *dtype;
  }
  Json quantized = Json::object();
  int64_t version = 1;
  for (const PlannedTensor& tensor : tensors) {
    if (!tensor.grid) continue;
    quantized[tensor.declared.name] = {{"grid", tensor.grid->spec().name},
                                       {"shape", tensor.declared.shape}};
    if (tensor.declared.activations == Activations::kFloat) continue;
    version = 2;  // a reader of version 1 would compute something else without a word
    quantized[tensor.declared.name]["activations"] = name(tensor.declared.activations);
  }
  if (!json.contains("frugal") || !json["frugal"].is_object()) json["frugal"] = Json::object();
  json["frugal"]["version"] = version;
  json["frugal"]["quantized"] = quantized;
  json["frugal"].erase("stacked_experts");
  if (config.stacked_experts) json["frugal"]["stacked_experts"] = true;
  json.erase("quantization_config");
  if (!quantized.empty()) json["quantization_config"] = {{"quant_method", kQuantMethod}};
  return json;
}

}  // namespace frugal::format
