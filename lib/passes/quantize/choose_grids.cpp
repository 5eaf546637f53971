// Tested by: tests/passes/target_test.cpp
#include "passes/quantize/choose_grids.h"

#include <algorithm>
#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/text.h"
#include "layerwise/rounding/sensitivity.h"
#include "layerwise/walk/output_gradients.h"
#include "layerwise/walk/walk.h"
#include "model/decoder.h"
#include "passes/quantize/rounded_model.h"
#include "passes/quantize/swaps.h"
#include "tensor/aten.h"

namespace frugal::passes {
namespace {

using base::Json;

// Gradients of so many tokens: a row's mean square is then known to a few percent, a matrix's cost
// far better, and what the estimate leaves out weighs more.
constexpr int64_t kGradientTokens = 8192;

// Of several experts the first one's.
const std::string& name_of(const TargetPlan& plan, const FreeMatrix& matrix) {
  return plan.tensors[matrix.tensors.front()].name;
}

struct Sensitivities {
  std::vector<AllocationItem> items;
  Importance importance;
};

absl::StatusOr<Sensitivities> sensitivities(const format::Checkpoint& input,
                                            const model::Decoder& decoder, const TargetPlan& plan,
                                            const text::Windows& windows,
                                            const ChooseOptions& options) {
  layerwise::SensitivityOptions settings;
  const text::Windows some =
      text::some_windows(windows, std::max<int64_t>(1, kGradientTokens / windows.length));
  FRUGAL_ASSIGN_OR_RETURN(
      settings.gradients,
      layerwise::output_squares(input, some,
                                {.device = options.device,
                                 .precision = options.precision,
                                 .seed = options.seed,
                                 .title = base::str_cat(options.title, ": gradients")}));
  for (const FreeMatrix& matrix : plan.free) {
    for (const size_t index : matrix.tensors)
      settings.candidates[plan.tensors[index].name] = matrix.grids;
  }
  settings.stages = architecture::all_stages(decoder.config());
  settings.importance = options.importance;
  layerwise::SensitivitySolver solver(std::move(settings));
  const layerwise::WalkOptions walk{.device = options.device,
                                    .min_expert_tokens = options.min_expert_tokens,
                                    .expert_blend = options.expert_blend,
                                    .precision = options.precision,
                                    .title = base::str_cat(options.title, ": sensitivities")};
  FRUGAL_RETURN_IF_ERROR(layerwise::walk(input, windows, walk, solver));
  Sensitivities result;
  for (const FreeMatrix& matrix : plan.free) {
    AllocationItem item{matrix.bytes, std::vector<double>(matrix.grids.size(), 0.0)};
    for (const size_t index : matrix.tensors) {
      const std::vector<double>& costs = solver.costs().find(plan.tensors[index].name)->second;
      for (size_t c = 0; c < costs.size(); ++c) item.costs[c] += costs[c];
    }
    result.items.push_back(std::move(item));
  }
  result.importance = solver.importance();
  return result;
}

// Swaps by measurement; without held-out windows the allocation stays as predicted.
absl::Status measure_and_swap(const model::Decoder& decoder, const TargetPlan& plan, int64_t budget,
                              const Importance& importance, const text::Windows& held_out,
                              const ChooseOptions& options, GridAssignment& assignment) {
  if (held_out.count == 0) return absl::OkStatus();
  RoundedModel model(decoder, plan, importance, held_out);
  base::Progress progress(base::str_cat(options.title, ": swaps"), "models", options.swaps + 1);
  const auto measure = [&](const std::vector<size_t>& choice) -> absl::StatusOr<double> {
    FRUGAL_ASSIGN_OR_RETURN(const double divergence, model.divergence(choice));
    progress.advance();
    progress.note(base::str_cat("divergence ", divergence));
    return divergence;
  };
  FRUGAL_ASSIGN_OR_RETURN(SwapResult result,
                          improve(assignment.items, std::move(assignment.allocation), budget,
                                  {.tries = options.swaps}, measure));
  assignment.allocation = std::move(result.allocation);
  assignment.measured_first = result.before;
  assignment.measured = result.after;
  assignment.swaps_tried = result.tried;
  assignment.swaps_kept = result.kept;
  return absl::OkStatus();
}

Json optional_json(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

absl::Status save(const TargetPlan& plan, const GridAssignment& assignment,
                  const ChooseOptions& options) {
  Json file;
  file["stamp"] = options.stamp;
  file["matrices"] = Json::array();
  for (size_t i = 0; i < plan.free.size(); ++i) {
    Json matrix;
    matrix["name"] = name_of(plan, plan.free[i]);
    matrix["grid"] = plan.free[i].grids[assignment.allocation.choice[i]];
    matrix["costs"] = assignment.items[i].costs;
    file["matrices"].push_back(std::move(matrix));
  }
  file["measured_first"] = optional_json(assignment.measured_first);
  file["measured"] = optional_json(assignment.measured);
  file["swaps_tried"] = assignment.swaps_tried;
  file["swaps_kept"] = assignment.swaps_kept;
  return base::write_file_atomically(options.file, file.dump(1));
}

absl::Status damaged(const ChooseOptions& options, const std::string& what) {
  return base::data_loss(options.file.string(), ": ", what,
                         "; remove the file to have the grids chosen again");
}

absl::StatusOr<size_t> restore_matrix(const Json& json, const std::string& name,
                                      const FreeMatrix& matrix, AllocationItem& item,
                                      const ChooseOptions& options) {
  const std::string where = options.file.string();
  FRUGAL_ASSIGN_OR_RETURN(const auto stored, base::json_get<std::string>(json, "name", where));
  FRUGAL_ASSIGN_OR_RETURN(const auto grid, base::json_get<std::string>(json, "grid", where));
  FRUGAL_ASSIGN_OR_RETURN(const Json costs, base::json_get<Json>(json, "costs", where));
  const auto found = std::find(matrix.grids.begin(), matrix.grids.end(), grid);
  if (stored != name || found == matrix.grids.end() || !costs.is_array() ||
      costs.size() != matrix.grids.size()) {
    return damaged(options, base::str_cat("the entry of ", name, " does not fit its candidates"));
  }
  item.bytes = matrix.bytes;
  for (const Json& cost : costs) {
    if (!cost.is_number()) return damaged(options, base::str_cat(name, ": a cost is no number"));
    item.costs.push_back(cost.get<double>());
  }
  return static_cast<size_t>(found - matrix.grids.begin());
}

// What an interrupted run chose; nothing where there is no file of this stamp.
absl::StatusOr<std::optional<GridAssignment>> restore(const TargetPlan& plan, int64_t budget,
                                                      const ChooseOptions& options) {
  FRUGAL_ASSIGN_OR_RETURN(const bool exists, base::exists(options.file));
  if (!exists) return std::nullopt;
  const std::string where = options.file.string();
  FRUGAL_ASSIGN_OR_RETURN(const Json file, base::read_json(options.file));
  FRUGAL_ASSIGN_OR_RETURN(const auto stamp, base::json_get<std::string>(file, "stamp", where));
  if (stamp != options.stamp) return std::nullopt;
  FRUGAL_ASSIGN_OR_RETURN(const Json matrices, base::json_get<Json>(file, "matrices", where));
  if (!matrices.is_array() || matrices.size() != plan.free.size())
    return damaged(options, "not an entry for each matrix");
  GridAssignment result;
  result.items.resize(plan.free.size());
  std::vector<size_t> choice(plan.free.size());
  for (size_t i = 0; i < plan.free.size(); ++i) {
    FRUGAL_ASSIGN_OR_RETURN(choice[i], restore_matrix(matrices[i], name_of(plan, plan.free[i]),
                                                      plan.free[i], result.items[i], options));
  }
  result.allocation = total(result.items, std::move(choice));
  if (result.allocation.bytes > budget) return damaged(options, "its choice is over the target");
  const auto number = [&](const char* key, std::optional<double>& value) {
    const auto found = file.find(key);
    if (found != file.end() && found->is_number()) value = found->get<double>();
  };
  number("measured_first", result.measured_first);
  number("measured", result.measured);
  FRUGAL_ASSIGN_OR_RETURN(result.swaps_tried, base::json_get<int64_t>(file, "swaps_tried", where));
  FRUGAL_ASSIGN_OR_RETURN(result.swaps_kept, base::json_get<int64_t>(file, "swaps_kept", where));
  return result;
}

}  // namespace

absl::StatusOr<GridAssignment> choose_grids(const format::Checkpoint& input, const TargetPlan& plan,
                                            int64_t budget,
                                            const layerwise::CalibrationSplit& windows,
                                            const ChooseOptions& options) {
  FRUGAL_ASSIGN_OR_RETURN(std::optional<GridAssignment> stored, restore(plan, budget, options));
  if (stored) return *std::move(stored);
  FRUGAL_ASSIGN_OR_RETURN(const model::Decoder decoder,
                          model::Decoder::load(input, {.device = options.device}));
  FRUGAL_ASSIGN_OR_RETURN(Sensitivities found,
                          sensitivities(input, decoder, plan, windows.seen, options));
  GridAssignment result;
  result.items = std::move(found.items);
  FRUGAL_ASSIGN_OR_RETURN(result.allocation, allocate(result.items, budget));
  FRUGAL_RETURN_IF_ERROR(
      measure_and_swap(decoder, plan, budget, found.importance, windows.held_out, options, result));
  FRUGAL_RETURN_IF_ERROR(save(plan, result, options));
  return result;
}

void report_assignment(pass::RunContext& context, const TargetPlan& plan,
                       const GridAssignment& assignment) {
  for (size_t i = 0; i < plan.free.size(); ++i) {
    const FreeMatrix& matrix = plan.free[i];
    const size_t chosen = assignment.allocation.choice[i];
    Json row;
    row["layer"] = plan.tensors[matrix.tensors.front()].layer;
    row["matrix"] = name_of(plan, matrix);
    if (matrix.tensors.size() > 1) row["experts"] = matrix.tensors.size();
    row["grid"] = matrix.grids[chosen];
    row["bits"] =
        8.0 * static_cast<double>(matrix.bytes[chosen]) / static_cast<double>(matrix.weights);
    row["cost"] = assignment.items[i].costs[chosen];
    for (size_t c = 0; c < matrix.grids.size(); ++c)
      row["cost_" + matrix.grids[c]] = assignment.items[i].costs[c];
    context.row("allocation", std::move(row));
  }
  context.statistic({.name = "predicted_divergence",
                     .value = assignment.allocation.cost,
                     .unit = "nats",
                     .help = "KL divergence per token that the sensitivities predict for the "
                             "chosen grids, rounded to nearest.",
                     .provenance = "modelled"});
  context.statistic({.name = "nearest_divergence",
                     .value = assignment.measured,
                     .unit = "nats",
                     .help = "The same, measured on held-out windows.",
                     .n = assignment.swaps_tried + 1});
  context.statistic({.name = "nearest_divergence_before_swaps",
                     .value = assignment.measured_first,
                     .unit = "nats",
                     .help = base::str_cat("Measured before ", assignment.swaps_kept, " of ",
                                           assignment.swaps_tried, " swaps tried were kept.")});
}

}  // namespace frugal::passes
