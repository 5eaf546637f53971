#include "layerwise/walk.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/interrupt.h"
#include "base/progress.h"
#include "base/text.h"
#include "layerwise/tiles.h"
#include "model/decoder.h"
#include "model/integer_linear.h"
#include "model/rotary.h"
#include "tensor/guard.h"
#include "tensor/transfer.h"

namespace frugal::layerwise {
namespace {

// One stream of activations, cut into chunks of whole windows.
struct Stream {
  std::vector<at::Tensor> layer_inputs;  // [windows, T, C]
  std::vector<model::LayerState> states;
};

struct StageWeights {
  std::vector<std::string> names;
  std::vector<int64_t> row_counts;
  at::Tensor stacked;  // [R, in] fp32 CPU
};

at::Tensor flat(const at::Tensor& x) { return x.reshape({-1, x.size(-1)}); }

class Walk {
 public:
  Walk(const format::Checkpoint& checkpoint, const text::Windows& windows,
       const WalkOptions& options, StageSolver& solver)
      : checkpoint_(checkpoint),
        config_(checkpoint.config()),
        windows_(windows),
        options_(options),
        solver_(solver),
        two_streams_(windows.count > 0 && solver.wants_drift()) {}

  absl::Status run() {
    FRUGAL_ASSIGN_OR_RETURN(stages_, model::stages(config_));
    FRUGAL_ASSIGN_OR_RETURN(runner_, model::layer_runner(config_));
    if (windows_.count > 0) FRUGAL_RETURN_IF_ERROR(embed());
    base::Progress progress(options_.title, "layers", config_.layer_count);
    for (int64_t layer = 0; layer < config_.layer_count; ++layer) {
      FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
      FRUGAL_RETURN_IF_ERROR(base::annotate(run_layer(layer), base::str_cat("layer ", layer)));
      progress.advance();
    }
    return run_head();
  }

 private:
  void for_each_chunk(const std::function<void(size_t)>& body) const {
    const auto count = static_cast<int64_t>(changed_.layer_inputs.size());
    if (options_.device.is_cpu()) {
      for_each_tile(count, [&](int64_t i) { body(static_cast<size_t>(i)); });
      return;
    }
    const at::NoGradGuard no_grad;  // one queue of work: threads would only take turns
    for (int64_t i = 0; i < count; ++i) body(static_cast<size_t>(i));
  }

  absl::Status embed() {
    FRUGAL_ASSIGN_OR_RETURN(const at::Tensor embedding, tensor::load(checkpoint_, model::kEmbedding,
                                                                     at::kFloat, options_.device));
    return tensor::guarded("embedding the calibration windows", [&] {
      const int64_t length = windows_.length;
      const int64_t per_chunk = std::max<int64_t>(1, options_.chunk_tokens / length);
      const at::Tensor ids =
          at::tensor(windows_.ids, at::kInt).to(at::kLong).view({windows_.count, length});
      for (int64_t begin = 0; begin < windows_.count; begin += per_chunk) {
        const int64_t count = std::min(per_chunk, windows_.count - begin);
        const at::Tensor chunk = ids.narrow(0, begin, count).to(options_.device);
        changed_.layer_inputs.push_back(at::embedding(embedding, chunk));
      }
      if (two_streams_) original_.layer_inputs = changed_.layer_inputs;
      const at::Tensor positions =
          at::arange(length, at::device(options_.device).dtype(at::kLong)).unsqueeze(0);
      const model::RotaryTables tables =
          model::rotary_tables(model::rotary_frequencies(config_).to(options_.device), positions);
      context_ = {tables.cosine, tables.sine, {}};
    });
  }

  absl::Status run_layer(int64_t layer) {
    FRUGAL_ASSIGN_OR_RETURN(const bool finished, solver_.is_finished(layer));
    if (finished && windows_.count == 0) return absl::OkStatus();
    FRUGAL_RETURN_IF_ERROR(load_small_parameters(layer));
    if (windows_.count > 0) FRUGAL_RETURN_IF_ERROR(begin_layer());
    for (size_t stage = 0; stage < stages_.size(); ++stage) {
      FRUGAL_ASSIGN_OR_RETURN(const StageWeights weights, load_stage(layer, stage));
      StageProblem problem = describe(layer, stage, weights);
      if (windows_.count > 0) FRUGAL_RETURN_IF_ERROR(round_inputs(problem.where));
      FRUGAL_ASSIGN_OR_RETURN(const at::Tensor changed,
                              finished ? restore(problem) : solve_stage(std::move(problem)));
      if (windows_.count == 0) continue;
      FRUGAL_RETURN_IF_ERROR(
          advance(stage, weights, changed.defined() ? changed : weights.stacked));
    }
    if (windows_.count > 0) end_layer();
    return finished ? absl::OkStatus() : solver_.finish_layer(layer);
  }

  // Norm weights: what the config expects of this layer beside matrices.
  absl::Status load_small_parameters(int64_t layer) {
    small_.clear();
    const std::string prefix = base::str_cat("model.layers.", layer, ".");
    for (const format::ExpectedTensor& expected : format::expected_tensors(config_)) {
      if (!expected.name.starts_with(prefix) || expected.shape.size() != 1) continue;
      FRUGAL_ASSIGN_OR_RETURN(
          at::Tensor value, tensor::load(checkpoint_, expected.name, at::kFloat, options_.device));
      small_.emplace(expected.name.substr(prefix.size()), std::move(value));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<StageWeights> load_matrices(std::vector<std::string> names) const {
    StageWeights result;
    std::vector<at::Tensor> parts;
    for (const std::string& name : names) {
      FRUGAL_ASSIGN_OR_RETURN(at::Tensor value,
                              tensor::load(checkpoint_, name, at::kFloat, at::kCPU));
      result.row_counts.push_back(value.size(0));
      parts.push_back(std::move(value));
    }
    result.names = std::move(names);
    FRUGAL_RETURN_IF_ERROR(
        tensor::guarded("stacking weights", [&] { result.stacked = at::cat(parts); }));
    return result;
  }

  absl::StatusOr<StageWeights> load_stage(int64_t layer, size_t stage) const {
    std::vector<std::string> names;
    for (const std::string& matrix : stages_[stage].matrices)
      names.push_back(model::weight_name(layer, matrix));
    return load_matrices(std::move(names));
  }

  absl::Status begin_layer() {
    return tensor::guarded("the input norm", [&] {
      const auto begin = [&](Stream& stream) {
        stream.states.assign(stream.layer_inputs.size(), {});
        for_each_chunk(
            [&](size_t i) { stream.states[i] = runner_->begin(stream.layer_inputs[i], small_); });
      };
      begin(changed_);
      if (two_streams_) begin(original_);
    });
  }

  absl::Status round_inputs(const std::string& where) {
    if (options_.activations == format::Activations::kFloat) return absl::OkStatus();
    return tensor::guarded(where, [&] {
      for_each_chunk([&](size_t i) {
        at::Tensor& input = changed_.states[i].input;
        input = model::restore_rows(model::round_rows(input));
      });
    });
  }

  StageProblem describe(int64_t layer, size_t stage, const StageWeights& weights) const {
    StageProblem problem;
    problem.layer = layer;
    problem.stage = stage;
    problem.where = base::str_cat("layer ", layer, ", ", stages_[stage].name);
    problem.names = weights.names;
    problem.row_counts = weights.row_counts;
    problem.writes_residual = stages_[stage].writes_residual;
    problem.weights = weights.stacked;
    return problem;
  }

  absl::StatusOr<at::Tensor> restore(const StageProblem& problem) {
    return tensor::guarded(problem.where, [&] { return solver_.restore(problem); });
  }

  absl::StatusOr<at::Tensor> solve_stage(StageProblem problem) {
    return solve(std::move(problem), inputs(changed_),
                 two_streams_ ? inputs(original_) : std::vector<at::Tensor>{});
  }

  absl::StatusOr<at::Tensor> solve(StageProblem problem, const std::vector<at::Tensor>& x,
                                   const std::vector<at::Tensor>& x_original) {
    const Needs needs = solver_.needs(problem.layer, problem.stage);
    if (windows_.count > 0 && needs != Needs::kNothing) {
      FRUGAL_RETURN_IF_ERROR(tensor::guarded(problem.where, [&]() -> absl::Status {
        FRUGAL_ASSIGN_OR_RETURN(problem.statistics, gather_statistics(x, needs, problem.where));
        if (!two_streams_ || needs != Needs::kHessian) return absl::OkStatus();
        problem.drift.input = gather_drift(x_original, x, x);
        if (problem.writes_residual) {
          problem.drift.residual = gather_drift(residuals(original_), residuals(changed_), x);
        }
        return absl::OkStatus();
      }));
    }
    return tensor::guarded(problem.where, [&] {
      const at::NoGradGuard no_grad;
      return solver_.solve(problem);
    });
  }

  std::vector<at::Tensor> inputs(const Stream& stream) const {
    std::vector<at::Tensor> result;
    for (const model::LayerState& state : stream.states) result.push_back(flat(state.input));
    return result;
  }
  std::vector<at::Tensor> residuals(const Stream& stream) const {
    std::vector<at::Tensor> result;
    for (const model::LayerState& state : stream.states) result.push_back(flat(state.residual));
    return result;
  }

  absl::Status advance(size_t stage, const StageWeights& weights, const at::Tensor& changed) {
    return tensor::guarded(stages_[stage].name, [&] {
      advance(changed_, stage, weights.row_counts, changed.to(options_.device));
      if (two_streams_)
        advance(original_, stage, weights.row_counts, weights.stacked.to(options_.device));
    });
  }

  void advance(Stream& stream, size_t stage, const std::vector<int64_t>& row_counts,
               const at::Tensor& stacked) const {
    const std::vector<at::Tensor> matrices = stacked.split_with_sizes(row_counts, 0);
    for_each_chunk([&](size_t i) {
      model::LayerState& state = stream.states[i];
      std::vector<at::Tensor> outputs;
      for (const at::Tensor& matrix : matrices) outputs.push_back(at::linear(state.input, matrix));
      runner_->advance(state, stage, outputs, small_, context_);
    });
  }

  void end_layer() {
    const auto end = [](Stream& stream) {
      for (size_t i = 0; i < stream.states.size(); ++i)
        stream.layer_inputs[i] = stream.states[i].residual;
      stream.states.clear();
    };
    end(changed_);
    if (two_streams_) end(original_);
  }

  absl::Status run_head() {
    const int64_t head = config_.layer_count;
    if (config_.tied_embeddings || solver_.needs(head, 0) == Needs::kNothing)
      return absl::OkStatus();
    FRUGAL_ASSIGN_OR_RETURN(const bool finished, solver_.is_finished(head));
    if (finished) return absl::OkStatus();
    FRUGAL_ASSIGN_OR_RETURN(const StageWeights weights, load_matrices({std::string(model::kHead)}));
    StageProblem problem;
    problem.layer = head;
    problem.where = "the head";
    problem.names = weights.names;
    problem.row_counts = weights.row_counts;
    problem.weights = weights.stacked;
    std::vector<at::Tensor> x, x_original;
    if (windows_.count > 0) {
      FRUGAL_ASSIGN_OR_RETURN(const at::Tensor norm, tensor::load(checkpoint_, model::kFinalNorm,
                                                                  at::kFloat, options_.device));
      FRUGAL_RETURN_IF_ERROR(tensor::guarded("the final norm", [&] {
        x = normalized(changed_, norm);
        if (two_streams_) x_original = normalized(original_, norm);
      }));
    }
    FRUGAL_RETURN_IF_ERROR(solve(std::move(problem), x, x_original).status());
    return solver_.finish_layer(head);
  }

  std::vector<at::Tensor> normalized(const Stream& stream, const at::Tensor& norm) const {
    std::vector<at::Tensor> result(stream.layer_inputs.size());
    for_each_chunk(
        [&](size_t i) { result[i] = flat(runner_->normalize(stream.layer_inputs[i], norm)); });
    return result;
  }

  const format::Checkpoint& checkpoint_;
  const format::ModelConfig& config_;
  const text::Windows& windows_;
  const WalkOptions& options_;
  StageSolver& solver_;
  bool two_streams_;
  std::vector<model::Stage> stages_;
  std::shared_ptr<const model::LayerRunner> runner_;
  model::AttentionContext context_;
  model::LayerParameters small_;
  Stream changed_, original_;
};

}  // namespace

absl::Status walk(const format::Checkpoint& checkpoint, const text::Windows& windows,
                  const WalkOptions& options, StageSolver& solver) {
  return Walk(checkpoint, windows, options, solver).run();
}

}  // namespace frugal::layerwise
