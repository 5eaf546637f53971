// Tested by: tests/passes/quantize_test.cpp
#include "passes/quantize/output_metrics.h"

#include <ATen/ATen.h>

#include <cstring>
#include <optional>

#include "base/file.h"
#include "base/text.h"

namespace frugal::passes {

using layerwise::LayerStore;

namespace {

// What gathering leaves on the disk until the step is through.
absl::Status check_room(const format::Checkpoint& checkpoint, const std::set<std::string>& names,
                        int64_t largest_rows, const std::filesystem::path& folder) {
  int64_t needed = 0;
  for (const std::string& name : names) {
    FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, checkpoint.info(name));
    const int64_t rows = info.shape.front();
    if (rows <= largest_rows) needed += 4 * rows * rows;
  }
  FRUGAL_ASSIGN_OR_RETURN(const int64_t available, base::free_bytes(folder));
  if (needed <= available) return absl::OkStatus();
  return base::resource_exhausted(
      folder.string(), ": the gradients of metric: both need ",
      base::format_bytes(static_cast<double>(needed)), " while the step runs, the disk has ",
      base::format_bytes(static_cast<double>(available)),
      " left; make room, give --cache a folder on another disk, or take metric: inputs");
}

}  // namespace

absl::Status OutputMetrics::gather(const format::Checkpoint& checkpoint,
                                   const text::Windows& windows, const std::set<std::string>& names,
                                   const layerwise::OutputGradientOptions& options) {
  tokens_ = windows.count * windows.length;
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error) return base::failed(folder_.string(), ": cannot be created: ", error.message());
  FRUGAL_ASSIGN_OR_RETURN(const auto first, store_.read(0));
  if (first) return absl::OkStatus();  // the last one to be written
  FRUGAL_RETURN_IF_ERROR(check_room(checkpoint, names, options.largest_rows, folder_));
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
    // All zeros where the model is so sure of every label that no score moves.
    if (values.ne(0).any().item<bool>()) metric.products = values.to(at::kDouble);
  }
  return result;
}

}  // namespace frugal::passes
