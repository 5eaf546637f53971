// Tested by: tests/passes/target_test.cpp
#include "passes/quantize/rounded_model.h"

#include <cmath>

#include "base/interrupt.h"
#include "layerwise/rounding/gptq.h"
#include "passes/quantize/divergence.h"
#include "tensor/aten.h"
#include "tensor/guard.h"

namespace frugal::passes {

absl::Status RoundedModel::put(const std::string& name, const std::string& grid_name) {
  std::string& present = grids_[name];
  if (present == grid_name) return absl::OkStatus();
  const at::Tensor weights = original_.parameters().find(name)->second;
  FRUGAL_ASSIGN_OR_RETURN(auto grid, grid::find_grid(grid_name, weights.size(1)));
  const auto importance = importance_.find(name);
  FRUGAL_ASSIGN_OR_RETURN(
      const grid::QuantizedMatrix matrix,
      layerwise::round_to_nearest(
          weights.cpu(), importance == importance_.end() ? at::Tensor() : importance->second,
          std::move(grid), true));
  rounded_.set_parameter(name, layerwise::decode(matrix).to(original_.device()));
  present = grid_name;
  return absl::OkStatus();
}

absl::StatusOr<double> RoundedModel::divergence(const std::vector<size_t>& choice) {
  FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
  return tensor::guarded("a model rounded to nearest", [&]() -> absl::StatusOr<double> {
    for (const PlannedTensor& tensor : planned_tensors(plan_, choice)) {
      if (!tensor.grid.empty()) FRUGAL_RETURN_IF_ERROR(put(tensor.name, tensor.grid));
    }
    const double divergence = mean_divergence(original_, rounded_, windows_, original_hidden_);
    if (std::isfinite(divergence)) return divergence;
    return base::failed("the divergence of the model rounded to nearest is ", divergence,
                        " on the held-out windows; does the model itself give finite logits?");
  });
}

}  // namespace frugal::passes
