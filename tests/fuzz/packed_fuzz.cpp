// A line of JSON as the config of a packed folder, and the bytes behind it as its weights: a plan
// whose every matrix can be read, or an error.
#include <algorithm>
#include <string_view>

#include "artifact/packed/packed_weights.h"
#include "memory_file.h"

namespace {

namespace artifact = frugal::artifact;

constexpr int64_t kMostTensors = 2000;     // of a config; no fuzzer learns from more
constexpr int64_t kMostWeights = 1 << 20;  // of a matrix that is decoded

void read_matrices(const artifact::StoredTensors& tensors, const artifact::Layout& layout,
                   const artifact::PackedPlan& plan) {
  for (const artifact::PackedImport& import : plan.imports) {
    const int64_t rows = import.module.rows, columns = import.module.columns;
    if (!import.packed || rows * columns > kMostWeights) continue;
    const auto matrix = layout.find(tensors, import.module);
    if (!matrix.ok() || !*matrix) continue;
    (void)artifact::decoded_rows(**matrix, 0, rows);
    if (import.choice.grid)
      (void)artifact::codes_on_grid(**matrix, *import.choice.grid, rows / 2, rows - rows / 2);
  }
}

bool is_small(const frugal::architecture::ModelConfig& config) {
  int64_t experts = 1;
  for (const auto& layer : config.layers)
    experts = std::max(experts, layer.experts ? layer.experts->count : 1);
  return config.layer_count() * experts <= kMostTensors / 20;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const size_t end = all.find('\n');
  if (end == std::string_view::npos) return 0;
  const auto json = frugal::base::parse_json(all.substr(0, end), "fuzz");
  if (!json.ok() || !json->is_object() || !json->contains("quantization_config")) return 0;
  const frugal::base::Json& settings = (*json)["quantization_config"];
  const auto method = frugal::base::json_get_or<std::string>(settings, "quant_method", "", "fuzz");
  if (!method.ok()) return 0;
  const auto config = frugal::architecture::parse_model_config(*json, "fuzz");
  if (!config.ok() || !is_small(*config)) return 0;
  const auto layout = artifact::layout_of({.method = *method, .config = settings, .where = "fuzz"});
  if (!layout.ok()) return 0;
  const frugal::fuzz::MemoryFile input(data + end + 1, size - end - 1);
  auto file = frugal::format::SafetensorsFile::open(input.path());
  if (!file.ok()) return 0;
  frugal::format::Weights weights;
  for (const auto& [name, info] : file->tensors()) weights.shard_of[name] = 0;
  weights.shards.push_back(*std::move(file));
  const artifact::StoredTensors tensors(std::move(weights), "fuzz");
  const auto plan = artifact::plan_packed_weights(tensors, **layout, *config);
  if (plan.ok()) read_matrices(tensors, **layout, *plan);
  return 0;
}
