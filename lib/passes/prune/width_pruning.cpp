// Tested by: tests/passes/prune_test.cpp
// Whole neurons and heads: rows of the matrices that make them, columns of those that read them.
#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "architecture/stages.h"
#include "base/text.h"
#include "passes/common/layer_kinds.h"
#include "passes/common/zeros.h"
#include "passes/prune/cut_solver.h"
#include "passes/prune/method.h"
#include "passes/prune/output.h"
#include "passes/prune/share.h"
#include "tensor/transfer.h"

namespace frugal::passes {
namespace {

using architecture::Role;

absl::StatusOr<size_t> stage_named(const std::vector<architecture::Stage>& stages,
                                   std::string_view name) {
  for (size_t i = 0; i < stages.size(); ++i) {
    if (stages[i].name == name) return i;
  }
  return base::unimplemented("prune: the architecture has no stage ", name);
}

// Of every expert, where the layer has some.
absl::StatusOr<Cut> neuron_cut(const PruneOptions& options, const architecture::ModelConfig& config,
                               const std::vector<architecture::Stage>& stages, int64_t expert) {
  if (options.multiple_of > config.layers.front().feed_forward.width) {
    return base::invalid_argument(
        "prune: multiple_of = ", options.multiple_of, " is larger than the model's ",
        config.layers.front().feed_forward.width, " feed-forward neurons");
  }
  Cut cut;
  cut.what = "neurons";
  cut.expert = expert;
  const std::string prefix =
      expert == architecture::kNoExpert ? "" : base::str_cat("expert ", expert, " ");
  FRUGAL_ASSIGN_OR_RETURN(cut.in_stage, stage_named(stages, prefix + "mlp_in"));
  FRUGAL_ASSIGN_OR_RETURN(cut.out_stage, stage_named(stages, prefix + "mlp_out"));
  cut.rows = {Role::kGate, Role::kUp};
  cut.reader = Role::kDown;
  cut.count = config.layers.front().feed_forward.width;
  cut.keep = layerwise::kept_structures(cut.count, options.ffn, options.multiple_of);
  return cut;
}

absl::StatusOr<Cut> head_cut(const PruneOptions& options, const architecture::ModelConfig& config,
                             const std::vector<architecture::Stage>& stages) {
  Cut cut;
  cut.reader = Role::kAttentionOutput;
  FRUGAL_ASSIGN_OR_RETURN(cut.in_stage, stage_named(stages, "attention_in"));
  FRUGAL_ASSIGN_OR_RETURN(cut.out_stage, stage_named(stages, "attention_out"));
  const int64_t shared =
      config.layers.front().attention.heads / config.layers.front().attention.key_value_heads;
  if (options.whole_key_value_heads(config)) {
    cut.what = "key_value_heads";
    cut.rows = {Role::kQuery, Role::kKey, Role::kValue};
    cut.count = config.layers.front().attention.key_value_heads;
    cut.unit = shared * config.layers.front().attention.head_size;
    cut.keep = layerwise::kept_structures(cut.count, options.heads, 1);
    return cut;
  }
  if (shared == 1) {
    return base::invalid_argument(
        "prune: heads_by = query, but every key/value head of this model serves one query head; "
        "take group (or auto)");
  }
  cut.what = "heads";
  cut.rows = {Role::kQuery};
  cut.count = config.layers.front().attention.heads;
  cut.unit = config.layers.front().attention.head_size;
  cut.groups = config.layers.front().attention.key_value_heads;
  cut.keep = cut.groups * layerwise::kept_structures(shared, options.heads, 1);
  return cut;
}

std::string possible_heads(const PruneOptions& options, const Cut& cut, int64_t shared) {
  if (cut.what == "key_value_heads") {
    return base::str_cat("whole key/value heads go, of which there are ", cut.count,
                         cut.count > 1
                             ? "; take another share"
                             : ", and one must stay; this model's heads cannot be pruned");
  }
  std::string numbers;
  for (int64_t each = 1; each < shared; ++each)
    numbers += base::str_cat(numbers.empty() ? "" : ", ", each * cut.groups);
  return base::str_cat("the same number goes from each of ", cut.groups,
                       " key/value heads, so that ", numbers, " can stay; take such a share",
                       options.heads_by == "query" ? "" : ", or heads_by: group");
}

// What the shares come out as in this model.
absl::Status check_cut(pass::CheckContext& context, const PruneOptions& options, const Cut& cut,
                       const architecture::ModelConfig& config) {
  if (cut.what == "neurons") {
    return check_share(context, "ffn", options.ffn, cut.count, cut.keep, "neurons",
                       possible_multiples(cut.count, cut.keep, options.multiple_of));
  }
  const architecture::Attention& attention = config.layers.front().attention;
  return check_share(context, "heads", options.heads, cut.count, cut.keep,
                     cut.what == "heads" ? "heads" : "key/value heads",
                     possible_heads(options, cut, attention.heads / attention.key_value_heads));
}

absl::StatusOr<std::vector<Cut>> cuts(const PruneOptions& options,
                                      const architecture::ModelConfig& config) {
  const std::vector<architecture::Stage> stages = architecture::stages(config, 0);
  std::vector<Cut> result;
  if (options.heads > 0) {
    FRUGAL_RETURN_IF_ERROR(refuse_norms_over_heads(config, "prune: heads"));
    FRUGAL_RETURN_IF_ERROR(refuse_heads_that_fill_the_stream(config, "prune: heads"));
    FRUGAL_ASSIGN_OR_RETURN(Cut cut, head_cut(options, config, stages));
    result.push_back(std::move(cut));
  }
  if (options.ffn > 0) {
    FRUGAL_RETURN_IF_ERROR(refuse_two_feed_forwards(config, "prune: ffn"));
    const auto& experts = config.layers.front().experts;
    for (int64_t e = 0; e < (experts ? experts->count : 1); ++e) {
      FRUGAL_ASSIGN_OR_RETURN(
          Cut cut, neuron_cut(options, config, stages, experts ? e : architecture::kNoExpert));
      result.push_back(std::move(cut));
    }
  }
  return result;
}

class WidthPruning final : public PruneMethod {
 public:
  using PruneMethod::PruneMethod;

  bool needs_text() const override {
    return options().compensate || options().score != "magnitude";
  }
  bool corrects_drift() const override {
    const bool by_output_error = options().score == "auto" || options().score.starts_with("obs");
    return (options().compensate || by_output_error) && has_drift_strength();
  }
  absl::Status check(pass::CheckContext& context, int64_t tokens,
                     pass::ModelInfo& model) const override;
  absl::Status run(const PruneRun& run) const override;

 private:
  absl::StatusOr<CutOptions> solver_options(const format::Checkpoint& input) const;
};

absl::Status WidthPruning::check(pass::CheckContext& context, int64_t /*tokens*/,
                                 pass::ModelInfo& model) const {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<Cut> chosen, cuts(options(), model.config));
  for (const Cut& cut : chosen) {
    if (cut.expert > 0) continue;  // as the first one
    FRUGAL_RETURN_IF_ERROR(check_cut(context, options(), cut, model.config));
  }
  if (options().compensate) {
    const auto places = architecture::places(model.config);
    const auto refitted = [&](const std::string& weight) {
      const architecture::Role role = places.find(weight)->second.role;
      return std::any_of(chosen.begin(), chosen.end(),
                         [&](const Cut& cut) { return cut.reader == role; });
    };
    lose_zeros(context, "prune", model, refitted, kRefitFillsZeros);
  }
  model.config = narrowed_config(model.config, chosen);
  return absl::OkStatus();
}

absl::StatusOr<CutOptions> WidthPruning::solver_options(const format::Checkpoint& input) const {
  CutOptions result;
  FRUGAL_ASSIGN_OR_RETURN(result.cuts, cuts(options(), input.config()));
  FRUGAL_ASSIGN_OR_RETURN(
      const format::TensorInfo info,
      input.info(architecture::tensor_name(input.config(), result.cuts.front().reader, 0,
                                           result.cuts.front().expert)));
  result.stored_type = tensor::scalar_type(info.dtype);
  result.score = options().structure_score(PruneKind::kWidth);
  result.compensate = options().compensate;
  result.gate = options().gate;
  result.drift_strength = {options().alpha, options().beta};
  result.factor.damping = options().cut_damping();
  return result;
}

absl::Status WidthPruning::run(const PruneRun& run) const {
  FRUGAL_ASSIGN_OR_RETURN(const CutOptions solver_settings, solver_options(run.input()));
  CutSolver solver(solver_settings, run.store);
  FRUGAL_RETURN_IF_ERROR(layerwise::walk(run.input(), run.calibration, run.walk, solver));
  FRUGAL_RETURN_IF_ERROR(
      write_narrowed(run.input(), solver_settings.cuts, run.store, run.context.output_folder()));
  FRUGAL_RETURN_IF_ERROR(report_errors(run.context, run.store));
  report_cuts(run.context, solver_settings.cuts);
  return report_sizes(run.context);
}

}  // namespace

std::unique_ptr<PruneMethod> make_width_pruning(const PruneOptions& options) {
  return std::make_unique<WidthPruning>(options);
}

}  // namespace frugal::passes
