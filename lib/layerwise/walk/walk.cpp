#include "layerwise/walk/walk.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "base/interrupt.h"
#include "base/progress.h"
#include "base/text.h"
#include "layerwise/walk/activation_store.h"
#include "layerwise/walk/layer_weights.h"
#include "model/decoder.h"
#include "model/integer_linear.h"
#include "tensor/block_cache.h"
#include "tensor/guard.h"
#include "tensor/tiles.h"
#include "tensor/transfer.h"

namespace frugal::layerwise {
namespace {

// One stream of activations, cut into chunks of whole windows.
struct Stream {
  std::vector<at::Tensor> layer_inputs;  // [windows, T, C]
  std::vector<model::LayerState> states;
};

struct ChunkRange {
  size_t begin = 0, end = 0;
};

// Drift and what it is gathered from, chunk by chunk.
class DriftSum {
 public:
  DriftSum(const at::Tensor& weights, DriftForm form, bool residual,
           const model::StageProduct& product, const at::Device& device)
      : weights_(weights),
        product_(product),
        device_(device),
        form_(form),
        residual_wanted_(residual),
        // Two products of R · in instead of one of in · in.
        through_outputs_(form == DriftForm::kOutputs && 2 * weights.size(0) < weights.size(1)) {}

  void add_input(const at::Tensor& original, const at::Tensor& x,
                 const model::TokenFactor& factor) {
    if (!through_outputs_)
      return input_.add(model::TokenFactor(original, factor.precision(), x), factor);
    const at::Tensor outputs = at::cat(product_.apply(original - x), -1);
    output_.add(model::TokenFactor(outputs, factor.precision()), factor);
  }
  void add_residual(const at::Tensor& original, const at::Tensor& now,
                    const model::TokenFactor& factor) {
    residual_.add(model::TokenFactor(original, factor.precision(), now), factor);
  }

  Drift take(int64_t tokens) {
    const auto mean = [&](at::Tensor sum, int64_t rows) {
      return sum.defined() ? sum.div_(static_cast<double>(tokens))
                           : at::zeros({rows, weights_.size(1)}, at::kDouble);
    };
    Drift drift;
    if (residual_wanted_) drift.residual = mean(residual_.take(), weights_.size(0));
    if (through_outputs_) {
      drift.output = mean(output_.take(), weights_.size(0));
      return drift;
    }
    drift.input = mean(input_.take(), weights_.size(1));
    if (form_ == DriftForm::kInputs) return drift;
    const at::Tensor weights = weights_.to(device_, at::kDouble);
    drift.output = tensor::matrix_product(weights, drift.input.to(device_)).cpu();
    drift.input = at::Tensor();
    return drift;
  }

 private:
  const at::Tensor& weights_;
  const model::StageProduct& product_;
  at::Device device_;
  DriftForm form_;
  bool residual_wanted_, through_outputs_;
  model::ProductSum input_{false}, output_{false}, residual_{false};
};

// The input of the stage in work, of one chunk of a stream: [tokens, in].
using ChunkInput = std::function<at::Tensor(const Stream& stream, size_t chunk)>;

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
        drift_(windows.count > 0 ? solver.drift_form() : DriftForm::kNone),
        polish_(windows.count > 0 && solver.polishes_layers()),
        two_streams_(drift_ != DriftForm::kNone || polish_),
        store_(options.spill_bytes, options.spill_folder, options.device) {}

  absl::Status run() {
    if (options_.held_out < 0 || (options_.held_out > 0 && options_.held_out >= windows_.count)) {
      return base::internal("the walk has ", windows_.count, " windows and holds out ",
                            options_.held_out);
    }
    FRUGAL_ASSIGN_OR_RETURN(stages_, model::stages(config_));
    FRUGAL_ASSIGN_OR_RETURN(runner_, model::layer_runner(config_));
    reader_.emplace(checkpoint_, stages_, windows_.count > 0 ? options_.device : at::kCPU);
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
  // `expect` says what the body will take from the store.
  void for_each_chunk(const std::function<void(size_t)>& body,
                      const std::function<void(size_t)>& expect) const {
    if (options_.device.is_cpu()) {
      tensor::for_each_tile(static_cast<int64_t>(chunk_count_),
                            [&](int64_t i) { body(static_cast<size_t>(i)); });
      return;
    }
    const at::NoGradGuard no_grad;  // one queue of work: threads would only take turns
    for (size_t i = 0; i < chunk_count_; ++i) {
      if (i + 1 < chunk_count_) expect(i + 1);
      body(i);
    }
  }

  // A chunk's state with which a layer's runner can work.
  model::LayerState at_hand(const model::LayerState& kept) const {
    return {store_.at_hand(kept.residual), store_.at_hand(kept.input)};
  }
  void expect(const model::LayerState& kept) const {
    store_.expect(kept.residual);
    store_.expect(kept.input);
  }

  at::Tensor without_removed(const at::Tensor& x) const {
    const std::vector<int64_t>& removed = options_.removed_channels;
    if (removed.empty()) return x;
    return x.index_fill(-1, at::tensor(removed, at::kLong).to(x.device()), 0);
  }

  absl::Status embed() {
    FRUGAL_ASSIGN_OR_RETURN(const at::Tensor embedding, tensor::load(checkpoint_, model::kEmbedding,
                                                                     at::kFloat, options_.device));
    return tensor::guarded("embedding the calibration windows", [&] {
      const int64_t length = windows_.length;
      const int64_t per_chunk = std::max<int64_t>(1, options_.chunk_tokens / length);
      const at::Tensor ids =
          at::tensor(windows_.ids, at::kInt).to(at::kLong).view({windows_.count, length});
      const auto add_chunks = [&](int64_t begin, int64_t end) {
        for (; begin < end; begin += per_chunk) {
          const int64_t count = std::min(per_chunk, end - begin);
          const at::Tensor chunk = ids.narrow(0, begin, count).to(options_.device);
          const at::Tensor x = at::embedding(embedding, chunk);
          changed_.layer_inputs.push_back(store_.keep(without_removed(x)));
          if (two_streams_ && !options_.removed_channels.empty())
            original_.layer_inputs.push_back(store_.keep(x));
        }
      };
      add_chunks(0, windows_.count - options_.held_out);
      seen_chunks_ = changed_.layer_inputs.size();
      add_chunks(windows_.count - options_.held_out, windows_.count);
      chunk_count_ = changed_.layer_inputs.size();
      diverged_ = !options_.removed_channels.empty();
      if (two_streams_ && !diverged_) original_.layer_inputs = changed_.layer_inputs;
      context_ = window_context(config_, length, options_.device, options_.precision);
    });
  }

  absl::Status run_layer(int64_t layer) {
    FRUGAL_ASSIGN_OR_RETURN(const bool finished, solver_.is_finished(layer));
    if (finished && windows_.count == 0) return absl::OkStatus();
    FRUGAL_ASSIGN_OR_RETURN(small_, load_small_parameters(checkpoint_, layer, options_.device));
    if (windows_.count > 0) FRUGAL_RETURN_IF_ERROR(begin_layer());
    std::vector<StageWeights> taken;  // what the changed stream went through; for the polish
    for (size_t stage = 0; stage < stages_.size(); ++stage) {
      FRUGAL_ASSIGN_OR_RETURN(StageWeights weights, reader_->take(layer, stage));
      StageProblem problem = describe(layer, stage, weights);
      if (windows_.count > 0) FRUGAL_RETURN_IF_ERROR(round_inputs(problem.where));
      const model::StageProduct product = windows_.count > 0
                                              ? stage_product(weights.here, weights.row_counts)
                                              : model::StageProduct();
      FRUGAL_ASSIGN_OR_RETURN(
          const at::Tensor changed,
          finished ? restore(problem) : solve_stage(std::move(problem), product));
      if (windows_.count == 0 || !is_read_behind(layer, stage)) continue;
      FRUGAL_RETURN_IF_ERROR(advance(stage, product, weights, changed));
      if (!polish_ || finished) continue;
      if (changed.defined()) weights.stacked = changed;
      weights.here = at::Tensor();
      taken.push_back(std::move(weights));
    }
    if (!taken.empty()) FRUGAL_RETURN_IF_ERROR(polish(layer, std::move(taken)));
    if (windows_.count > 0) FRUGAL_RETURN_IF_ERROR(end_layer(layer));
    return finished ? absl::OkStatus() : solver_.finish_layer(layer);
  }

  // Whether anything looks at what this stage makes of the activations.
  bool is_read_behind(int64_t layer, size_t stage) const {
    return layer + 1 < config_.layer_count || stage + 1 < stages_.size() || polish_ ||
           options_.observe != nullptr || solves_head();
  }
  bool solves_head() const {
    return !config_.tied_embeddings && solver_.needs(config_.layer_count, 0) != Needs::kNothing;
  }

  // Lets the solver go over the layer once more, and the changed stream through what it answers.
  absl::Status polish(int64_t layer, std::vector<StageWeights> weights) {
    LayerProblem problem{.layer = layer,
                         .where = base::str_cat("layer ", layer),
                         .device = options_.device,
                         .stages = stages_,
                         .runner = *runner_,
                         .small = small_,
                         .context = context_,
                         .inputs = changed_.layer_inputs,
                         .targets = {},
                         .seen_chunks = seen_chunks_};
    for (const model::LayerState& state : original_.states) {
      problem.targets.push_back(state.residual);
    }
    FRUGAL_ASSIGN_OR_RETURN(
        const std::vector<at::Tensor> polished,
        tensor::guarded(problem.where, [&] { return solver_.polish_layer(problem); }));
    if (polished.size() != stages_.size()) {
      return base::internal(problem.where, ": a polish of ", polished.size(), " stages, expected ",
                            stages_.size());
    }
    bool changed = false;
    for (size_t stage = 0; stage < stages_.size(); ++stage) {
      changed |= polished[stage].defined();
      if (polished[stage].defined()) weights[stage].stacked = polished[stage];
    }
    if (!changed) return absl::OkStatus();
    return tensor::guarded(problem.where, [&] {
      begin(changed_);
      for (size_t stage = 0; stage < stages_.size(); ++stage) {
        advance(changed_, stage, stage_product(weights[stage].stacked, weights[stage].row_counts));
      }
    });
  }

  absl::Status begin_layer() {
    return tensor::guarded("the input norm", [&] {
      begin(changed_);
      if (two_streams_ && diverged_) begin(original_);
      if (two_streams_ && !diverged_) original_.states = changed_.states;
      // The states go on with them; only who looks at whole layers meets them again.
      original_.layer_inputs.clear();
      if (!polish_ && options_.observe == nullptr) changed_.layer_inputs.clear();
    });
  }

  void begin(Stream& stream) const {
    stream.states.assign(chunk_count_, {});
    for_each_chunk(
        [&](size_t i) {
          const at::Tensor& kept = stream.layer_inputs[i];
          const at::Tensor x = store_.at_hand(kept);
          model::LayerState& state = stream.states[i] = runner_->begin(x, small_);
          if (state.residual.is_same(x)) state.residual = kept;
          keep(state);
        },
        [&](size_t i) { store_.expect(stream.layer_inputs[i]); });
  }

  // Moves a chunk's activations to where they stay until the next stage.
  void keep(model::LayerState& state) const {
    state.residual = store_.keep(state.residual);
    state.input = store_.keep(state.input);
    rest(state);
  }
  void rest(const model::LayerState& state) const {
    store_.rest(state.residual);
    store_.rest(state.input);
  }

  absl::Status round_inputs(const std::string& where) {
    if (options_.activations == format::Activations::kFloat) return absl::OkStatus();
    diverged_ = true;
    return tensor::guarded(where, [&] {
      for_each_chunk(
          [&](size_t i) {
            at::Tensor& input = changed_.states[i].input;
            input = store_.keep(model::restore_rows(model::round_rows(store_.at_hand(input))));
            store_.rest(input);
          },
          [&](size_t i) { store_.expect(changed_.states[i].input); });
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

  absl::StatusOr<at::Tensor> solve_stage(StageProblem problem, const model::StageProduct& product) {
    return solve(std::move(problem), product, [this](const Stream& stream, size_t chunk) {
      return flat(store_.at_hand(stream.states[chunk].input));
    });
  }

  absl::StatusOr<at::Tensor> solve(StageProblem problem, const model::StageProduct& product,
                                   const ChunkInput& input) {
    const Needs needs = solver_.needs(problem.layer, problem.stage);
    if (windows_.count > 0 && needs != Needs::kNothing) {
      FRUGAL_RETURN_IF_ERROR(tensor::guarded(problem.where, [&]() -> absl::Status {
        FRUGAL_RETURN_IF_ERROR(gather(problem, needs, product, input, {0, seen_chunks_},
                                      problem.statistics, problem.drift));
        if (options_.held_out == 0) return absl::OkStatus();
        return gather(problem, needs, product, input, {seen_chunks_, chunk_count_},
                      problem.held_out_statistics, problem.held_out_drift);
      }));
    }
    return tensor::guarded(problem.where, [&] {
      const at::NoGradGuard no_grad;
      return solver_.solve(problem);
    });
  }

  // Statistics and drift over a range of chunks, one after the other: no list of their copies.
  absl::Status gather(const StageProblem& problem, Needs needs, const model::StageProduct& product,
                      const ChunkInput& input, ChunkRange range, InputStatistics& statistics,
                      Drift& drift) const {
    const bool drifts = drift_ != DriftForm::kNone && needs == Needs::kHessian;
    StatisticsSum sum(needs);
    DriftSum drift_sum(problem.weights, drift_, problem.writes_residual, product,
                       options_.device);
    for (size_t i = range.begin; i < range.end; ++i) {
      if (i + 1 < range.end) expect_chunk(i + 1, drifts && diverged_, problem.writes_residual);
      const at::Tensor x = input(changed_, i);
      std::optional<model::TokenFactor> factor;
      if (needs == Needs::kHessian) factor.emplace(x, options_.precision);
      sum.add(x, factor ? &*factor : nullptr);
      if (drifts && diverged_) {
        drift_sum.add_input(input(original_, i), x, *factor);
        if (problem.writes_residual) {
          drift_sum.add_residual(flat(store_.at_hand(original_.states[i].residual)),
                                 flat(store_.at_hand(changed_.states[i].residual)), *factor);
        }
      }
      if (!changed_.states.empty()) rest(changed_.states[i]);
      if (!original_.states.empty()) rest(original_.states[i]);
    }
    FRUGAL_ASSIGN_OR_RETURN(statistics, sum.take(problem.where));
    if (drifts) drift = drift_sum.take(statistics.tokens);
    return absl::OkStatus();
  }

  // What gather() takes of a chunk.
  void expect_chunk(size_t i, bool drifts, bool residuals) const {
    for (const Stream* const stream : {&changed_, &original_}) {
      if (stream->states.empty() || (stream == &original_ && !drifts)) continue;
      store_.expect(stream->states[i].input);
      if (drifts && residuals) store_.expect(stream->states[i].residual);
    }
  }

  // Both streams through a stage; `product` = the original weights.
  absl::Status advance(size_t stage, const model::StageProduct& product,
                       const StageWeights& weights, const at::Tensor& changed) {
    return tensor::guarded(stages_[stage].name, [&] {
      const bool same = !changed.defined();
      advance(changed_, stage, same ? product : stage_product(changed, weights.row_counts));
      if (!two_streams_) return;
      if (same && !diverged_) {
        original_.states = changed_.states;
        return;
      }
      diverged_ = true;
      advance(original_, stage, product);
    });
  }

  void advance(Stream& stream, size_t stage, const model::StageProduct& product) const {
    for_each_chunk(
        [&](size_t i) {
          const at::Tensor kept = stream.states[i].residual;
          model::LayerState& state = stream.states[i] = at_hand(stream.states[i]);
          const at::Tensor residual = state.residual;
          runner_->advance(state, stage, product.apply(state.input), small_, context_);
          if (state.residual.is_same(residual)) state.residual = kept;
          keep(state);
        },
        [&](size_t i) { expect(stream.states[i]); });
  }

  model::StageProduct stage_product(const at::Tensor& stacked,
                                    const std::vector<int64_t>& row_counts) const {
    return {stacked.to(options_.device), row_counts, options_.precision};
  }

  absl::Status end_layer(int64_t layer) {
    if (options_.observe != nullptr) {
      FRUGAL_RETURN_IF_ERROR(tensor::guarded("looking at a layer's output", [&] {
        std::vector<at::Tensor> before, after;  // of a GPU all at once, whatever the limit
        for (const at::Tensor& x : changed_.layer_inputs) before.push_back(store_.at_hand(x));
        for (const model::LayerState& state : changed_.states)
          after.push_back(store_.at_hand(state.residual));
        options_.observe(layer, before, after);
      }));
    }
    const auto end = [](Stream& stream) {
      stream.layer_inputs.clear();
      for (const model::LayerState& state : stream.states)
        stream.layer_inputs.push_back(state.residual);
      stream.states.clear();
    };
    end(changed_);
    if (two_streams_) end(original_);
    return absl::OkStatus();
  }

  absl::Status run_head() {
    const int64_t head = config_.layer_count;
    if (!solves_head()) return absl::OkStatus();
    FRUGAL_ASSIGN_OR_RETURN(const bool finished, solver_.is_finished(head));
    if (finished) return absl::OkStatus();
    FRUGAL_ASSIGN_OR_RETURN(const StageWeights weights,
                            load_matrices(checkpoint_, {std::string(model::kHead)}));
    StageProblem problem;
    problem.layer = head;
    problem.where = "the head";
    problem.names = weights.names;
    problem.row_counts = weights.row_counts;
    problem.weights = weights.stacked;
    at::Tensor norm;
    if (windows_.count > 0) {
      FRUGAL_ASSIGN_OR_RETURN(
          norm, tensor::load(checkpoint_, model::kFinalNorm, at::kFloat, options_.device));
    }
    const ChunkInput input = [&](const Stream& stream, size_t chunk) {
      const at::NoGradGuard no_grad;
      return flat(runner_->normalize(store_.at_hand(stream.layer_inputs[chunk]), norm));
    };
    const model::StageProduct product = windows_.count > 0
                                            ? stage_product(weights.stacked, weights.row_counts)
                                            : model::StageProduct();
    FRUGAL_RETURN_IF_ERROR(solve(std::move(problem), product, input).status());
    return solver_.finish_layer(head);
  }

  const format::Checkpoint& checkpoint_;
  const format::ModelConfig& config_;
  const text::Windows& windows_;
  const WalkOptions& options_;
  StageSolver& solver_;
  DriftForm drift_;
  bool polish_, two_streams_;
  bool diverged_ = false;  // the streams differ; until then they share their tensors
  std::vector<model::Stage> stages_;
  std::shared_ptr<const model::LayerRunner> runner_;
  std::optional<StageReader> reader_;
  model::AttentionContext context_;
  model::LayerParameters small_;
  ActivationStore store_;
  Stream changed_, original_;
  size_t chunk_count_ = 0;
  size_t seen_chunks_ = 0;  // the chunks behind them hold the held-out windows
};

}  // namespace

StageProblem select_matrices(const StageProblem& problem, const std::vector<size_t>& members) {
  if (members.size() == problem.names.size()) return problem;
  TORCH_CHECK(!problem.writes_residual, problem.where, " has ", problem.names.size(),
              " matrices; those that write the residual stream cannot be solved apart");
  StageProblem part = problem;
  part.names.clear();
  part.row_counts.clear();
  const std::vector<at::Tensor> rows = problem.weights.split_with_sizes(problem.row_counts, 0);
  std::vector<at::Tensor> kept;
  for (const size_t i : members) {
    part.names.push_back(problem.names[i]);
    part.row_counts.push_back(problem.row_counts[i]);
    kept.push_back(rows[i]);
  }
  part.weights = at::cat(kept);
  for (Drift* const drift : {&part.drift, &part.held_out_drift}) {
    if (!drift->output.defined()) continue;
    const std::vector<at::Tensor> outputs = drift->output.split_with_sizes(problem.row_counts, 0);
    std::vector<at::Tensor> kept_outputs;
    for (const size_t i : members) kept_outputs.push_back(outputs[i]);
    drift->output = at::cat(kept_outputs);
  }
  return part;
}

absl::Status walk(const format::Checkpoint& checkpoint, const text::Windows& windows,
                  const WalkOptions& options, StageSolver& solver) {
  const absl::Status status = Walk(checkpoint, windows, options, solver).run();
  tensor::release_waiting_blocks();  // what comes next has blocks of other sizes
  return status;
}

}  // namespace frugal::layerwise
