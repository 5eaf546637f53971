// Tested by: tests/passes/prune_experts_test.cpp
// Experts that are alike become one.
#include "layerwise/pruning/expert_merging.h"

#include <algorithm>
#include <map>
#include <string>

#include "architecture/tensors.h"
#include "base/text.h"
#include "layerwise/pruning/experts.h"
#include "layerwise/walk/passive_solver.h"
#include "passes/prune/experts.h"
#include "tensor/aten.h"
#include "tensor/tiles.h"

namespace frugal::passes {
namespace {

using architecture::Role;
using layerwise::ExpertMatrices;
using layerwise::LayerExperts;
using layerwise::WeightedRefit;
using Group = std::vector<int64_t>;  // the most used expert in front

// One layer on its way through the walk.
class LayerMerge {
 public:
  LayerMerge(const PruneRun& run, const PruneOptions& options, const LayerExperts& experts)
      : run_(run), options_(options), experts_(experts) {}

  absl::Status run() {
    const architecture::ModelConfig& config = run_.input().config();
    const int64_t count = config.layers[static_cast<size_t>(experts_.layer)].experts->count;
    layerwise::ExpertScores scores;
    for (size_t i = 0; i < experts_.chunks; ++i) scores.add(experts_.routing(i));
    usage_ = scores.tokens();
    FRUGAL_ASSIGN_OR_RETURN(const at::Tensor products, output_products(count));
    const std::vector<Group> groups =
        layerwise::group_experts(products, usage_, kept_experts(options_.experts, count));
    const at::Tensor router = experts_.small.at(Role::kRouter).cpu().to(at::kFloat);
    at::Tensor rows = at::empty({static_cast<int64_t>(groups.size()), router.size(1)}, at::kFloat);
    for (size_t g = 0; g < groups.size(); ++g) {
      rows[static_cast<int64_t>(g)].copy_(router[groups[g].front()]);
      base::Json record = describe(groups[g], scores.means());
      if (groups[g].size() > 1) {
        FRUGAL_RETURN_IF_ERROR(merge(groups[g], static_cast<int64_t>(g), record));
        FRUGAL_RETURN_IF_ERROR(fit_row(groups[g], router, rows[static_cast<int64_t>(g)], record));
      }
      records_.push_back(std::move(record));
    }
    changed_.insert_or_assign(architecture::tensor_name(config, Role::kRouter, experts_.layer),
                              rows);
    return run_.store.write(experts_.layer, changed_, records_);
  }

 private:
  // Σ o_e · o_f over all tokens, [E, E] fp64.
  absl::StatusOr<at::Tensor> output_products(int64_t count) const {
    FRUGAL_ASSIGN_OR_RETURN(
        const std::vector<at::Tensor> outputs,
        layerwise::all_expert_outputs(run_.input(), experts_, run_.walk.precision));
    at::Tensor sum = at::zeros({count, count}, at::kDouble);
    for (const at::Tensor& chunk : outputs) {
      const at::Tensor flat = chunk.reshape({count, -1}).to(at::kDouble);
      sum.add_(tensor::matrix_product(flat, flat.t()));
    }
    return sum;
  }

  // Shares of the members in their group, by usage.
  std::vector<double> shares(const Group& group) const {
    std::vector<double> result;
    double all = 0;
    for (const int64_t e : group) {
      result.push_back(static_cast<double>(std::max<int64_t>(usage_[static_cast<size_t>(e)], 1)));
      all += result.back();
    }
    for (double& share : result) share /= all;
    return result;
  }

  base::Json describe(const Group& group, const std::vector<double>& scores) const {
    base::Json members = base::Json::array();
    for (const int64_t e : group) {
      members.push_back({{"expert", e},
                         {"tokens", usage_[static_cast<size_t>(e)]},
                         {"score", base::finite_or_null(scores[static_cast<size_t>(e)])}});
    }
    return {{"members", std::move(members)}};
  }

  absl::Status merge(const Group& group, int64_t number, base::Json& record) {
    std::vector<ExpertMatrices> members;
    for (const int64_t e : group) {
      FRUGAL_ASSIGN_OR_RETURN(ExpertMatrices own,
                              layerwise::load_expert(run_.input(), experts_.layer, e));
      members.push_back(members.empty() ? std::move(own)
                                        : layerwise::aligned(own, members.front()));
    }
    ExpertMatrices merged = layerwise::average(members, shares(group));
    members.clear();
    if (options_.compensate) {
      FRUGAL_ASSIGN_OR_RETURN(const WeightedRefit::Result refitted, refit(group, merged));
      record["error_before"] = refitted.error_before;
      record["error_after"] = refitted.error_after;
      if (refitted.damping) record["damping"] = *refitted.damping;
      merged.down = refitted.weights;
    }
    const auto keep = [&](Role role, const at::Tensor& value) {
      changed_.insert_or_assign(
          architecture::tensor_name(run_.input().config(), role, experts_.layer, number), value);
    };
    keep(Role::kGate, merged.gate);
    keep(Role::kUp, merged.up);
    keep(Role::kDown, merged.down);
    return absl::OkStatus();
  }

  // Down for what the members made of their own tokens, weighted by the router's squared weight:
  // so much of an error reaches the residual stream.
  absl::StatusOr<WeightedRefit::Result> refit(const Group& group,
                                              const ExpertMatrices& merged) const {
    const model::StageProduct first = layerwise::first_product(merged, run_.walk.precision);
    WeightedRefit sums(merged.down);
    for (size_t i = 0; i < experts_.chunks; ++i) {
      const model::Routing routing = experts_.routing(i);
      const at::Tensor weights = routing.grouped_weights().cpu();
      for (const int64_t e : group) {
        const int64_t count = routing.tokens_of(e);
        if (count == 0) continue;
        const at::Tensor own =
            weights.narrow(0, routing.ends[static_cast<size_t>(e)] - count, count);
        sums.add(layerwise::expert_neurons(experts_, first, routing.input_of(e).rows.cpu()),
                 routing.outputs[static_cast<size_t>(e)].cpu(), own.square());
      }
    }
    return sums.solve(options_.damping);
  }

  // The router's row of a group: the mean by usage, fitted to the largest logit of its members on
  // tokens as far as they are theirs.
  absl::Status fit_row(const Group& group, const at::Tensor& router, at::Tensor row,
                       base::Json& record) const {
    const at::Tensor members = at::tensor(group, at::kLong);
    const at::Tensor own = router.index_select(0, members).to(at::kDouble);
    const at::Tensor mean =
        at::tensor(shares(group), at::kDouble).unsqueeze(0).matmul(own).to(at::kFloat);
    row.copy_(mean[0]);
    if (!options_.compensate) return absl::OkStatus();
    WeightedRefit sums(mean);
    for (size_t i = 0; i < experts_.chunks; ++i) {
      const model::Routing routing = experts_.routing(i);
      const at::Tensor x = routing.normed.reshape({-1, routing.normed.size(-1)}).cpu();
      const at::Tensor logits = tensor::matrix_product(x.to(at::kDouble), own.t().contiguous());
      const at::Tensor theirs = routing.probabilities.cpu().index_select(1, members).sum(1);
      sums.add(x, logits.amax(1, /*keepdim=*/true), theirs);
    }
    FRUGAL_ASSIGN_OR_RETURN(const WeightedRefit::Result fitted, sums.solve(options_.damping));
    row.copy_(fitted.weights[0]);
    record["router_error_before"] = fitted.error_before;
    record["router_error_after"] = fitted.error_after;
    return absl::OkStatus();
  }

  const PruneRun& run_;
  const PruneOptions& options_;
  const LayerExperts& experts_;
  std::vector<int64_t> usage_;
  layerwise::StoredTensors changed_;
  base::Json records_ = base::Json::array();
};

// The stored layer's groups, reported: the experts in front.
absl::StatusOr<std::vector<int64_t>> report_groups(const PruneRun& run, int64_t layer) {
  FRUGAL_ASSIGN_OR_RETURN(const layerwise::LayerStore::Layer stored, run.store.require(layer));
  const std::string where = base::str_cat("the stored groups of layer ", layer);
  std::vector<int64_t> kept;
  std::map<int64_t, base::Json> rows;  // by expert
  for (const base::Json& record : stored.record()) {
    FRUGAL_ASSIGN_OR_RETURN(const auto members,
                            base::json_get<base::Json>(record, "members", where));
    if (!members.is_array() || members.empty()) return base::data_loss(where, ": an empty group");
    FRUGAL_ASSIGN_OR_RETURN(const int64_t front,
                            base::json_get<int64_t>(members.front(), "expert", where));
    for (const base::Json& member : members) {
      FRUGAL_ASSIGN_OR_RETURN(const int64_t expert,
                              base::json_get<int64_t>(member, "expert", where));
      base::Json row = {{"layer", layer}};
      row.update(member);
      row["kept"] = expert == front;
      row["merged_into"] = front;
      rows.insert_or_assign(expert, std::move(row));
    }
    kept.push_back(front);
    if (!record.contains("error_before")) continue;
    base::Json row = {{"layer", layer}, {"expert", front}, {"experts", members.size()}};
    for (const char* name :
         {"error_before", "error_after", "damping", "router_error_before", "router_error_after"}) {
      if (record.contains(name)) row[name] = record[name];
    }
    run.context.row("merged_experts", std::move(row));
  }
  for (auto& [expert, row] : rows) run.context.row("expert_scores", std::move(row));
  return kept;
}

}  // namespace

double merging_operations(const architecture::ModelConfig& config, double share, int64_t tokens) {
  double operations = 0;
  const auto t = static_cast<double>(tokens);
  for (const architecture::Layer& layer : config.layers) {
    if (!layer.experts) continue;
    const auto e = static_cast<double>(layer.experts->count);
    const auto k = static_cast<double>(layer.experts->per_token);
    const auto c = static_cast<double>(config.hidden_size);
    const auto f = static_cast<double>(layer.feed_forward.width);
    const auto gone = e - static_cast<double>(kept_experts(share, layer.experts->count));
    operations += t * (2 * e * 3 * c * f + 2 * e * e * c) +  // outputs, and their products
                  gone * (6 * c * f * f + f * f * f) +       // alignment
                  t * k * (6 * c * f + 2 * f * f) + gone * f * f * f;  // refits
  }
  return operations;
}

absl::StatusOr<KeptExperts> merge_experts(const PruneRun& run, const PruneOptions& options) {
  const architecture::ModelConfig& config = run.input().config();
  layerwise::WalkOptions observed = run.walk;
  observed.observe_experts = [&](const LayerExperts& experts) -> absl::Status {
    FRUGAL_ASSIGN_OR_RETURN(const auto stored, run.store.read(experts.layer));
    if (stored) return absl::OkStatus();  // before an interruption
    return LayerMerge(run, options, experts).run();
  };
  layerwise::PassiveSolver observer;
  FRUGAL_RETURN_IF_ERROR(layerwise::walk(run.input(), run.calibration, observed, observer));
  KeptExperts kept(config.layers.size());
  for (size_t i = 0; i < kept.size(); ++i) {
    if (!config.layers[i].experts) continue;
    FRUGAL_ASSIGN_OR_RETURN(kept[i], report_groups(run, static_cast<int64_t>(i)));
  }
  return kept;
}

}  // namespace frugal::passes
