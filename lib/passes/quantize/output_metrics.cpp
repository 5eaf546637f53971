#include "passes/quantize/output_metrics.h"

#include <ATen/ATen.h>

#include <cstring>
#include <optional>

#include "base/text.h"

namespace frugal::passes {

using layerwise::LayerStore;

absl::Status OutputMetrics::gather(const format::Checkpoint& checkpoint,
                                   const text::Windows& windows, const std::set<std::string>& names,
                                   const layerwise::OutputGradientOptions& options) {
  tokens_ = windows.count * windows.length;
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error) return base::failed(folder_.string(), ": cannot be created: ", error.message());
  FRUGAL_ASSIGN_OR_RETURN(const auto first, store_.read(0));
  if (first) return absl::OkStatus();  // the last one to be written
  return layerwise::output_gradients(
      checkpoint, windows, options, [&](int64_t layer, layerwise::LayerGradients gradients) {
        std::vector<at::Tensor> values;
        std::vector<LayerStore::Tensor> tensors;
        for (const auto& [name, found] : gradients) {
          if (!found.products.defined() || !names.contains(name)) continue;
          values.push_back(found.products.to(at::kFloat).contiguous());
          tensors.push_back({name,
                             format::DType::kF32,
                             values.back().sizes().vec(),
                             {static_cast<const std::byte*>(values.back().const_data_ptr()),
                              static_cast<size_t>(values.back().nbytes())}});
        }
        return store_.write(layer, tensors, base::Json::object());
      });
}

absl::StatusOr<std::vector<layerwise::OutputMetric>> OutputMetrics::of(
    int64_t layer, const std::vector<std::string>& names,
    const std::vector<int64_t>& row_counts) const {
  std::vector<layerwise::OutputMetric> result;
  FRUGAL_ASSIGN_OR_RETURN(const std::optional<LayerStore::Layer> stored, store_.read(layer));
  for (size_t i = 0; i < names.size(); ++i) {
    layerwise::OutputMetric& metric = result.emplace_back();
    metric.rows = row_counts[i];
    if (!stored || !stored->has(names[i])) continue;
    FRUGAL_ASSIGN_OR_RETURN(
        const std::span<const std::byte> bytes,
        stored->bytes(names[i], format::DType::kF32, {metric.rows, metric.rows}));
    at::Tensor values = at::empty({metric.rows, metric.rows}, at::kFloat);
    std::memcpy(values.mutable_data_ptr(), bytes.data(), bytes.size());
    metric.products = values.to(at::kDouble);
  }
  return result;
}

}  // namespace frugal::passes
