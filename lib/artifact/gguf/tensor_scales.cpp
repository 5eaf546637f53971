#include "artifact/gguf/tensor_scales.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "architecture/gguf_names.h"
#include "grid/grid.h"

namespace frugal::artifact {
namespace {

using base::str_cat;

absl::StatusOr<float> tensor_scale_of(const architecture::Tensor& part, const std::string& name) {
  if (name.empty()) return 1.0f;
  FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(name, part.shape.back()));
  return grid->spec().tensor_scale;
}

// The architectures whose graphs in llama.cpp multiply every product of their layers by its tensor
// scale: log-probabilities of the tiny models agree there. The graphs of the others load the scales
// and pass some of them over.
constexpr std::array<std::string_view, 5> kMultiplied = {"llama", "qwen3", "qwen3moe", "gemma2",
                                                         "gemma3"};

absl::Status check_multiplied(const architecture::ModelConfig& config,
                              const architecture::Tensor& weight, const std::string& grid) {
  if (!weight.is_stage_matrix()) {
    return base::invalid_argument("cannot write ", weight.name, " to GGUF: grid ", grid,
                                  " has a tensor scale, and llama.cpp has none for an embedding or "
                                  "a head; quantize it to q6_k, q8_0 or nvfp4:e0 (embeddings, "
                                  "head)");
  }
  FRUGAL_ASSIGN_OR_RETURN(const std::string_view graph, architecture::gguf_architecture(config));
  if (std::find(kMultiplied.begin(), kMultiplied.end(), graph) != kMultiplied.end())
    return absl::OkStatus();
  return base::invalid_argument("cannot write ", weight.name, " to GGUF: grid ", grid,
                                " has a tensor scale, and llama.cpp's graph of '", graph,
                                "' passes some of them over; quantize to nvfp4:e0, which has none, "
                                "to mxfp4 or iq4_nl");
}

}  // namespace

std::string gguf_scale_name(std::string_view weight) {
  return str_cat(weight.substr(0, weight.rfind('.')), ".scale");
}

GridOfWeight grid_of_weight(const format::ModelInfo& model) {
  return [&model](const std::string& weight) {
    const auto found = model.grids.find(weight);
    return found == model.grids.end() ? std::string() : found->second;
  };
}

GridOfWeight grid_of_weight(const format::Checkpoint& checkpoint) {
  return [&checkpoint](const std::string& weight) {
    const auto found = checkpoint.quantized().find(weight);
    return found == checkpoint.quantized().end() ? std::string() : found->second.grid;
  };
}

absl::StatusOr<std::vector<GgufScale>> gguf_tensor_scales(const architecture::ModelConfig& config,
                                                          const std::vector<GgufSource>& sources,
                                                          const GridOfWeight& grid_of) {
  std::vector<GgufScale> scales;
  for (const GgufSource& source : sources) {
    if (source.parts.empty()) continue;
    const architecture::Tensor& first = source.parts.front();
    const std::string name = grid_of(first.name);
    // All parts lie on one grid (check_fused).
    FRUGAL_ASSIGN_OR_RETURN(const float scale, tensor_scale_of(first, name));
    if (scale == 1) continue;
    FRUGAL_RETURN_IF_ERROR(check_multiplied(config, first, name));
    const bool stack = source.shape.size() > 2;
    scales.push_back({.name = gguf_scale_name(source.name),
                      .values = std::vector<float>(stack ? source.parts.size() : 1, scale)});
  }
  return scales;
}

absl::StatusOr<std::vector<float>> read_gguf_scales(const format::GgufFile& file,
                                                    const GgufSource& source) {
  const std::string name = gguf_scale_name(source.name);
  const format::GgufTensor* const tensor = file.find_tensor(name);
  if (tensor == nullptr) return std::vector<float>(source.parts.size(), 1.0f);
  const bool stack = source.shape.size() > 2;
  const auto count = static_cast<int64_t>(stack ? source.parts.size() : 1);
  if (tensor->type.name != "F32" || tensor->size_bytes != 4 * count) {
    return base::invalid_argument("the tensor '", name, "' is ", tensor->type.name, " of ",
                                  tensor->size_bytes, " bytes, expected ", count,
                                  " numbers of F32, the scale of '", source.name, "'");
  }
  std::vector<float> values(static_cast<size_t>(count));
  std::memcpy(values.data(), file.bytes(*tensor).data(), values.size() * sizeof(float));
  for (const float value : values) {
    if (std::isfinite(value) && value > 0) continue;
    return base::data_loss("the tensor '", name, "' holds ", std::to_string(value),
                           ", expected positive numbers; the file is damaged: copy or download it "
                           "again");
  }
  if (!stack) values.resize(source.parts.size(), values.front());
  return values;
}

}  // namespace frugal::artifact
