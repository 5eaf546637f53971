#include "passes/prune/channel_solver.h"

#include <ATen/ATen.h>

#include <chrono>
#include <cstring>

#include "layerwise/gptq.h"

namespace frugal::passes {

using layerwise::LayerStore;
using layerwise::StageProblem;

int64_t ChannelSolver::dimension(const StageProblem& problem) const {
  return options_.uses.at(problem.names.front()) == model::StreamUse::kWrites ? 0 : 1;
}

absl::StatusOr<at::Tensor> ChannelSolver::solve(const StageProblem& problem) {
  const auto start = std::chrono::steady_clock::now();
  FRUGAL_ASSIGN_OR_RETURN(
      const layerwise::Factor factor,
      layerwise::factorize(problem.statistics.hessian,
                           at::arange(problem.weights.size(1), at::kLong), options_.factor));
  const at::Tensor refitted =
      layerwise::pre_correct(problem.weights, problem.drift, factor, options_.asymmetry)
          .index_fill_(dimension(problem), at::tensor(options_.removed, at::kLong), 0)
          .to(options_.stored_type)
          .to(at::kFloat);
  const at::Tensor kept = at::tensor(options_.kept, at::kLong);
  const std::vector<at::Tensor> matrices = refitted.split_with_sizes(problem.row_counts, 0);
  for (size_t i = 0; i < matrices.size(); ++i) {
    finished_.emplace_back(problem.names[i],
                           matrices[i].index_select(dimension(problem), kept).contiguous());
  }
  const std::chrono::duration<double> span = std::chrono::steady_clock::now() - start;
  record(problem, factor, refitted, span.count());
  return refitted;
}

// How far the output was from the original's is not known here: its second moment is not gathered.
void ChannelSolver::record(const StageProblem& problem, const layerwise::Factor& factor,
                           const at::Tensor& refitted, double seconds) {
  const at::Tensor plain =
      problem.weights.index_fill(dimension(problem), at::tensor(options_.removed, at::kLong), 0);
  base::Json row;
  row["layer"] = problem.layer;
  row["matrix"] = problem.names.front();
  row["grid"] = nullptr;
  row["error_before"] = nullptr;
  row["error_after"] = nullptr;
  row["correction"] = base::finite_or_null(
      layerwise::output_error(refitted, plain, problem.statistics.hessian).relative());
  row["damping"] = factor.damping > 0 ? base::Json(factor.damping) : base::Json();
  row["recoveries"] = factor.recoveries;
  row["structures"] = "channels";
  row["count"] = options_.kept.size() + options_.removed.size();
  row["kept"] = options_.kept.size();
  row["tokens"] = problem.statistics.tokens;
  row["seconds"] = seconds;
  records_.push_back(std::move(row));
}

absl::Status ChannelSolver::finish_layer(int64_t layer) {
  std::vector<LayerStore::Tensor> tensors;
  for (const auto& [name, weights] : finished_) {
    tensors.push_back({name,
                       format::DType::kF32,
                       {weights.size(0), weights.size(1)},
                       std::as_bytes(std::span(weights.const_data_ptr<float>(),
                                               static_cast<size_t>(weights.numel())))});
  }
  const absl::Status status = store_.write(layer, tensors, records_);
  finished_.clear();
  records_ = base::Json::array();
  return status;
}

absl::StatusOr<bool> ChannelSolver::is_finished(int64_t layer) {
  FRUGAL_ASSIGN_OR_RETURN(restored_, store_.read(layer));
  return restored_.has_value();
}

absl::StatusOr<at::Tensor> ChannelSolver::restore(const StageProblem& problem) {
  const int64_t across = dimension(problem), columns = problem.weights.size(1);
  const auto channels = static_cast<int64_t>(options_.kept.size());
  const at::Tensor kept = at::tensor(options_.kept, at::kLong);
  const at::Tensor weights = at::zeros_like(problem.weights);
  int64_t begin = 0;
  for (size_t i = 0; i < problem.names.size(); ++i) {
    const int64_t rows = problem.row_counts[i];
    std::vector<int64_t> shape = {rows, columns};
    shape[static_cast<size_t>(across)] = channels;
    FRUGAL_ASSIGN_OR_RETURN(const auto bytes,
                            restored_->bytes(problem.names[i], format::DType::kF32, shape));
    const at::Tensor narrow = at::empty(shape, at::kFloat);
    std::memcpy(narrow.data_ptr<float>(), bytes.data(), bytes.size());
    weights.narrow(0, begin, rows).index_copy_(across, kept, narrow);
    begin += rows;
  }
  return weights;
}

}  // namespace frugal::passes
