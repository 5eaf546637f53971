#include "layerwise/walk/walk.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "base/interrupt.h"
#include "base/progress.h"
#include "base/text.h"
#include "layerwise/walk/activation_store.h"
#include "layerwise/walk/drift_sum.h"
#include "layerwise/walk/expert_blend.h"
#include "layerwise/walk/layer_weights.h"
#include "layerwise/walk/streams.h"
#include "model/decoder.h"
#include "tensor/aten.h"
#include "tensor/block_cache.h"
#include "tensor/guard.h"
#include "tensor/transfer.h"

namespace frugal::layerwise {
namespace {

struct ChunkRange {
  size_t begin = 0, end = 0;
};

// The input of the stage in work, of one chunk of a stream.
using ChunkInput = std::function<model::StageInput(const Stream& stream, size_t chunk)>;

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
        reconstructs_(windows.count > 0 && solver.reconstructs_layers()),
        two_streams_(drift_ != DriftForm::kNone || reconstructs_),
        stages_(architecture::all_stages(config_)),
        store_(options.spill_bytes, options.spill_folder, options.device) {}

  absl::Status run() {
    if (options_.held_out < 0 || (options_.held_out > 0 && options_.held_out >= windows_.count)) {
      return base::internal("the walk has ", windows_.count, " windows and holds out ",
                            options_.held_out);
    }
    streams_.emplace(std::make_shared<const model::LayerRunner>(config_), store_, options_.device);
    reader_.emplace(checkpoint_, stages_, windows_.count > 0 ? options_.device : at::kCPU);
    if (windows_.count > 0) FRUGAL_RETURN_IF_ERROR(embed());
    base::Progress progress(options_.title, "layers", config_.layer_count());
    for (int64_t layer = 0; layer < config_.layer_count(); ++layer) {
      FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
      FRUGAL_RETURN_IF_ERROR(base::annotate(run_layer(layer), base::str_cat("layer ", layer)));
      progress.advance();
    }
    return run_head();
  }

 private:
  const std::vector<architecture::Stage>& stages(int64_t layer) const {
    return stages_[static_cast<size_t>(layer)];
  }
  at::Tensor without_removed(const at::Tensor& x) const {
    const std::vector<int64_t>& removed = options_.removed_channels;
    if (removed.empty()) return x;
    return x.index_fill(-1, at::tensor(removed, at::kLong).to(x.device()), 0);
  }

  absl::Status embed() {
    FRUGAL_ASSIGN_OR_RETURN(const model::Embedding embedding,
                            load_embedding(checkpoint_, options_.device));
    return tensor::guarded("embedding the calibration windows", [&] {
      const int64_t length = windows_.length;
      const int64_t per_chunk = std::max<int64_t>(1, options_.chunk_tokens / length);
      const at::Tensor ids =
          at::tensor(windows_.ids, at::kInt).to(at::kLong).view({windows_.count, length});
      const auto add_chunks = [&](int64_t begin, int64_t end) {
        for (; begin < end; begin += per_chunk) {
          const int64_t count = std::min(per_chunk, end - begin);
          const at::Tensor chunk = ids.narrow(0, begin, count).to(options_.device);
          const at::Tensor x = streams_->layer_runner().embed(embedding, chunk);
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
      contexts_ = window_contexts(config_, length, options_.device, options_.precision);
    });
  }

  absl::Status run_layer(int64_t layer) {
    FRUGAL_ASSIGN_OR_RETURN(const bool stored, solver_.has_stored(layer));
    if (stored && windows_.count == 0) return absl::OkStatus();
    FRUGAL_ASSIGN_OR_RETURN(small_, load_small_parameters(checkpoint_, layer, options_.device));
    if (windows_.count > 0) FRUGAL_RETURN_IF_ERROR(begin_layer(layer));
    std::vector<StageWeights>
        taken;  // what the changed stream went through; for the reconstruction
    for (size_t stage = 0; stage < stages(layer).size(); ++stage) {
      const architecture::StageRef at{layer, stage, stages(layer)[stage].expert};
      FRUGAL_ASSIGN_OR_RETURN(StageWeights weights, reader_->take(at));
      StageProblem problem = describe(at, weights);
      if (windows_.count > 0) FRUGAL_RETURN_IF_ERROR(round_inputs(problem.where));
      const model::StageProduct product = windows_.count > 0
                                              ? stage_product(weights.here, weights.row_counts)
                                              : model::StageProduct();
      FRUGAL_ASSIGN_OR_RETURN(const at::Tensor changed,
                              stored ? restore(problem) : solve_stage(std::move(problem), product));
      if (windows_.count == 0 || !is_read_behind(at)) continue;
      FRUGAL_RETURN_IF_ERROR(advance(at, product, weights, changed));
      if (!reconstructs_ || stored) continue;
      if (changed.defined()) weights.stacked = changed;
      weights.here = at::Tensor();
      taken.push_back(std::move(weights));
    }
    if (!taken.empty()) FRUGAL_RETURN_IF_ERROR(reconstruct(layer, std::move(taken)));
    if (windows_.count > 0) FRUGAL_RETURN_IF_ERROR(end_layer(layer));
    return stored ? absl::OkStatus() : solver_.store_layer(layer);
  }

  // Whether anything looks at what this stage makes of the activations.
  bool is_read_behind(const architecture::StageRef& at) const {
    return at.layer + 1 < config_.layer_count() || at.stage + 1 < stages(at.layer).size() ||
           reconstructs_ || options_.observe != nullptr || options_.observe_experts != nullptr ||
           solves_head();
  }
  bool solves_head() const {
    return !config_.tied_embeddings && solver_.needs({config_.layer_count(), 0}) != Needs::kNothing;
  }

  // Lets the solver go over the layer once more, and the changed stream through what it answers.
  absl::Status reconstruct(int64_t layer, std::vector<StageWeights> weights) {
    LayerProblem problem{.layer = layer,
                         .where = base::str_cat("layer ", layer),
                         .device = options_.device,
                         .stages = stages(layer),
                         .runner = streams_->layer_runner(),
                         .small = small_,
                         .contexts = contexts_,
                         .inputs = changed_.layer_inputs,
                         .targets = {},
                         .seen_chunks = seen_chunks_};
    for (const model::LayerState& state : original_.states) {
      problem.targets.push_back(state.residual);
    }
    FRUGAL_ASSIGN_OR_RETURN(
        const std::vector<at::Tensor> reconstructed,
        tensor::guarded(problem.where, [&] { return solver_.reconstruct_layer(problem); }));
    if (reconstructed.size() != stages(layer).size()) {
      return base::internal(problem.where, ": a reconstruction of ", reconstructed.size(),
                            " stages, expected ", stages(layer).size());
    }
    bool changed = false;
    for (size_t stage = 0; stage < stages(layer).size(); ++stage) {
      changed |= reconstructed[stage].defined();
      if (reconstructed[stage].defined()) weights[stage].stacked = reconstructed[stage];
    }
    if (!changed) return absl::OkStatus();
    return tensor::guarded(problem.where, [&] {
      streams_->begin(changed_, layer, small_);
      for (size_t stage = 0; stage < stages(layer).size(); ++stage) {
        advance(changed_, {layer, stage, stages(layer)[stage].expert},
                stage_product(weights[stage].stacked, weights[stage].row_counts));
      }
    });
  }

  absl::Status begin_layer(int64_t layer) {
    all_inputs_.reset();
    return tensor::guarded("the input norm", [&] {
      streams_->begin(changed_, layer, small_);
      if (two_streams_ && diverged_) streams_->begin(original_, layer, small_);
      if (two_streams_ && !diverged_) original_.states = changed_.states;
      // The states go on with them; only who looks at whole layers meets them again.
      original_.layer_inputs.clear();
      if (!reconstructs_ && options_.observe == nullptr) changed_.layer_inputs.clear();
    });
  }

  absl::Status round_inputs(const std::string& where) {
    if (options_.activations == format::Activations::kFloat) return absl::OkStatus();
    diverged_ = true;
    return tensor::guarded(where, [&] { streams_->round_inputs(changed_); });
  }

  StageProblem describe(const architecture::StageRef& at, const StageWeights& weights) const {
    const architecture::Stage& stage = stages(at.layer)[at.stage];
    StageProblem problem;
    problem.at = at;
    problem.where = base::str_cat("layer ", at.layer, ", ", stage.name);
    problem.names = weights.names;
    for (const architecture::Tensor& matrix : stage.matrices) problem.roles.push_back(matrix.role);
    problem.row_counts = weights.row_counts;
    problem.writes_residual = stage.writes_residual;
    problem.weights = weights.stacked;
    return problem;
  }

  absl::StatusOr<at::Tensor> restore(const StageProblem& problem) {
    return tensor::guarded(problem.where, [&] { return solver_.restore(problem); });
  }

  absl::StatusOr<at::Tensor> solve_stage(StageProblem problem, const model::StageProduct& product) {
    return solve(std::move(problem), product, [this](const Stream& stream, size_t chunk) {
      const model::StageInput& input = stream.states[chunk].input;
      return model::StageInput{store_.fetch(input.rows), input.tokens};
    });
  }

  absl::StatusOr<at::Tensor> solve(StageProblem problem, const model::StageProduct& product,
                                   const ChunkInput& input) {
    const Needs needs = solver_.needs(problem.at);
    if (windows_.count > 0 && needs != Needs::kNothing) {
      FRUGAL_RETURN_IF_ERROR(tensor::guarded(problem.where, [&]() -> absl::Status {
        FRUGAL_RETURN_IF_ERROR(gather(problem, needs, product, input, {0, seen_chunks_},
                                      problem.statistics, problem.drift));
        FRUGAL_RETURN_IF_ERROR(check_expert(problem));
        FRUGAL_RETURN_IF_ERROR(blend_expert(problem, needs));
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
    DriftSum drift_sum(problem.weights, drift_, problem.writes_residual, product, options_.device);
    for (size_t i = range.begin; i < range.end; ++i) {
      if (i + 1 < range.end) prefetch_chunk(i + 1, drifts && diverged_, problem.writes_residual);
      const model::StageInput x = input(changed_, i);
      const at::Tensor rows = x.matrix();
      std::optional<model::TokenFactor> factor;
      if (needs == Needs::kHessian) factor.emplace(rows, options_.precision);
      sum.add(rows, factor ? &*factor : nullptr);
      if (drifts && diverged_) {
        drift_sum.add_input(input(original_, i), x, *factor);
        if (problem.writes_residual) {
          drift_sum.add_residual(x.rows_of(store_.fetch(original_.states[i].residual)),
                                 x.rows_of(store_.fetch(changed_.states[i].residual)), *factor);
        }
      }
      if (!changed_.states.empty()) streams_->evict(changed_.states[i]);
      if (!original_.states.empty()) streams_->evict(original_.states[i]);
    }
    if (sum.tokens() == 0) return absl::OkStatus();  // of an expert: check_expert
    FRUGAL_ASSIGN_OR_RETURN(statistics, sum.take(problem.where));
    if (drifts) drift = drift_sum.take(statistics.tokens);
    return absl::OkStatus();
  }

  // Gives a rare expert's problem the statistics of all tokens, too.
  absl::Status blend_expert(StageProblem& problem, Needs needs) {
    if (problem.at.expert == architecture::kNoExpert) return absl::OkStatus();
    const double share =
        blend_share(problem.statistics.tokens, problem.weights.size(1), options_.expert_blend);
    if (share == 0) return absl::OkStatus();
    FRUGAL_ASSIGN_OR_RETURN(const InputStatistics all, all_tokens(problem, needs));
    problem.statistics = blended(std::move(problem.statistics), all, share);
    problem.drift = blended(std::move(problem.drift), share);
    return absl::OkStatus();
  }

  // What the first stages of experts read is counted once per layer.
  absl::StatusOr<InputStatistics> all_tokens(const StageProblem& problem, Needs needs) {
    const AllTokens all(*streams_, store_, options_, seen_chunks_);
    if (is_expert_out(problem.at)) {
      architecture::StageRef first = problem.at;
      --first.stage;
      return all.neurons(changed_, needs, problem.where, first, expert_in_, small_, contexts_);
    }
    if (!all_inputs_ || (needs == Needs::kHessian && !all_inputs_->hessian.defined())) {
      FRUGAL_ASSIGN_OR_RETURN(all_inputs_, all.inputs(changed_, needs, problem.where));
    }
    return *all_inputs_;
  }

  // The second of an expert's two stages.
  static bool is_expert_out(const architecture::StageRef& at) {
    return at.expert != architecture::kNoExpert &&
           (at.stage - architecture::kAttentionStages) % 2 == 1;
  }

  // Too few tokens tell nothing of an expert.
  absl::Status check_expert(const StageProblem& problem) const {
    if (problem.at.expert == architecture::kNoExpert ||
        problem.statistics.tokens >= options_.min_expert_tokens)
      return absl::OkStatus();
    const int64_t all = (windows_.count - options_.held_out) * windows_.length;
    return base::failed(problem.where, ": the router sent ", problem.statistics.tokens, " of ", all,
                        " calibration tokens to this expert, expected at least ",
                        options_.min_expert_tokens,
                        "; calibrate on more or other text (`windows`), or lower "
                        "`min_expert_tokens`: at 0 an expert without tokens is solved on those of "
                        "all experts, or rounded to nearest where `expert_blend` is 0");
  }

  // What gather() takes of a chunk.
  void prefetch_chunk(size_t i, bool drifts, bool residuals) const {
    for (const Stream* const stream : {&changed_, &original_}) {
      if (stream->states.empty() || (stream == &original_ && !drifts)) continue;
      store_.prefetch(stream->states[i].input.rows);
      if (drifts && residuals) store_.prefetch(stream->states[i].residual);
    }
  }

  // Both streams through a stage; `product` = the original weights.
  absl::Status advance(const architecture::StageRef& at, const model::StageProduct& product,
                       const StageWeights& weights, const at::Tensor& changed) {
    return tensor::guarded(stages(at.layer)[at.stage].name, [&] {
      const bool same = !changed.defined();
      const model::StageProduct now = same ? product : stage_product(changed, weights.row_counts);
      advance(changed_, at, now);
      // What a blend of the expert's next stage runs all tokens through.
      const bool blends = at.expert != architecture::kNoExpert && options_.expert_blend > 0;
      expert_in_ = blends && !is_expert_out(at) ? now : model::StageProduct();
      if (!two_streams_) return;
      if (same && !diverged_) {
        original_.states = changed_.states;
        return;
      }
      diverged_ = true;
      advance(original_, at, product);
    });
  }

  void advance(Stream& stream, const architecture::StageRef& at,
               const model::StageProduct& product) const {
    streams_->advance(stream, at, product, small_, contexts_);
  }

  model::StageProduct stage_product(const at::Tensor& stacked,
                                    const std::vector<int64_t>& row_counts) const {
    return {stacked.to(options_.device), row_counts, options_.precision};
  }

  absl::Status end_layer(int64_t layer) {
    if (options_.observe != nullptr) {
      FRUGAL_RETURN_IF_ERROR(tensor::guarded("looking at a layer's output", [&] {
        std::vector<at::Tensor> before, after;  // of a GPU all at once, whatever the limit
        for (const at::Tensor& x : changed_.layer_inputs) before.push_back(store_.fetch(x));
        for (const model::LayerState& state : changed_.states)
          after.push_back(store_.fetch(state.residual));
        options_.observe(layer, before, after);
      }));
    }
    FRUGAL_RETURN_IF_ERROR(show_experts(layer));
    StreamRunner::end(changed_);
    if (two_streams_) StreamRunner::end(original_);
    return absl::OkStatus();
  }

  absl::Status show_experts(int64_t layer) {
    if (options_.observe_experts == nullptr) return absl::OkStatus();
    if (!config_.layers[static_cast<size_t>(layer)].experts) return absl::OkStatus();
    const auto routing = [this](size_t chunk) {
      model::Routing result = changed_.states.at(chunk).routing;
      result.normed = store_.fetch(result.normed);
      for (at::Tensor& output : result.outputs) output = store_.fetch(output);
      return result;
    };
    return tensor::guarded("looking at a layer's experts", [&] {
      const at::NoGradGuard no_grad;
      return options_.observe_experts({.layer = layer,
                                       .runner = streams_->layer_runner(),
                                       .small = small_,
                                       .contexts = contexts_,
                                       .chunks = changed_.states.size(),
                                       .routing = routing});
    });
  }

  absl::Status run_head() {
    const int64_t head = config_.layer_count();
    if (!solves_head()) return absl::OkStatus();
    FRUGAL_ASSIGN_OR_RETURN(const bool stored, solver_.has_stored(head));
    if (stored) return absl::OkStatus();
    FRUGAL_ASSIGN_OR_RETURN(const StageWeights weights,
                            load_matrices(checkpoint_, {architecture::head_name(config_)}));
    StageProblem problem;
    problem.at = {head, 0};
    problem.where = "the head";
    problem.names = weights.names;
    problem.roles = {architecture::Role::kHead};
    problem.row_counts = weights.row_counts;
    problem.weights = weights.stacked;
    model::NormWeights norm;
    if (windows_.count > 0) {
      FRUGAL_ASSIGN_OR_RETURN(norm, load_final_norm(checkpoint_, options_.device));
    }
    const ChunkInput input = [&](const Stream& stream, size_t chunk) {
      const at::NoGradGuard no_grad;
      return model::StageInput{
          streams_->layer_runner().final_norm(store_.fetch(stream.layer_inputs[chunk]), norm)};
    };
    const model::StageProduct product = windows_.count > 0
                                            ? stage_product(weights.stacked, weights.row_counts)
                                            : model::StageProduct();
    FRUGAL_RETURN_IF_ERROR(solve(std::move(problem), product, input).status());
    return solver_.store_layer(head);
  }

  const format::Checkpoint& checkpoint_;
  const architecture::ModelConfig& config_;
  const text::Windows& windows_;
  const WalkOptions& options_;
  StageSolver& solver_;
  DriftForm drift_;
  bool reconstructs_, two_streams_;
  bool diverged_ = false;  // the streams differ; until then they share their tensors
  std::vector<std::vector<architecture::Stage>> stages_;  // by layer
  std::optional<StageReader> reader_;
  model::AttentionContexts contexts_;
  model::LayerParameters small_;
  ActivationStore store_;
  std::optional<StreamRunner> streams_;
  Stream changed_, original_;
  std::optional<InputStatistics> all_inputs_;  // of all tokens among the experts of the layer
  model::StageProduct expert_in_;              // of the expert in work, between its stages
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
  part.roles.clear();
  part.row_counts.clear();
  const std::vector<at::Tensor> rows = problem.weights.split_with_sizes(problem.row_counts, 0);
  std::vector<at::Tensor> kept;
  for (const size_t i : members) {
    part.names.push_back(problem.names[i]);
    part.roles.push_back(problem.roles[i]);
    part.row_counts.push_back(problem.row_counts[i]);
    kept.push_back(rows[i]);
  }
  part.weights = tensor::concatenate(kept);
  for (Drift* const drift : {&part.drift, &part.held_out_drift}) {
    if (!drift->output.defined()) continue;
    const std::vector<at::Tensor> outputs = drift->output.split_with_sizes(problem.row_counts, 0);
    std::vector<at::Tensor> kept_outputs;
    for (const size_t i : members) kept_outputs.push_back(outputs[i]);
    drift->output = tensor::concatenate(kept_outputs);
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
