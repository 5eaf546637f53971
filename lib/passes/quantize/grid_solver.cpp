// Tested by: tests/passes/quantize_test.cpp
#include "passes/quantize/grid_solver.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "base/text.h"
#include "layerwise/pruning/sparse.h"
#include "layerwise/rounding/gptaq.h"
#include "tensor/aten.h"
#include "tensor/tiles.h"

namespace frugal::passes {

using layerwise::LayerStore;
using layerwise::StageProblem;

namespace {

constexpr int64_t kRowsAtOnce = 16;

// Weights that came as exact zeros, and those of them that are something else now. [rows, columns]
// fp32 each.
struct ZeroCounts {
  int64_t given = 0, filled = 0;
};
ZeroCounts count_zeros(const at::Tensor& before, const at::Tensor& after) {
  const int64_t columns = before.size(1);
  const at::Tensor from = before.contiguous(), to = after.contiguous();
  const float* const x = from.const_data_ptr<float>();
  const float* const y = to.const_data_ptr<float>();
  std::atomic<int64_t> given = 0, filled = 0;
  at::parallel_for(0, before.size(0), kRowsAtOnce, [&](int64_t begin, int64_t end) {
    int64_t zeros = 0, others = 0;
    for (int64_t row = begin; row < end; ++row) {
      int32_t row_zeros = 0, row_others = 0;
      for (int64_t i = row * columns; i < (row + 1) * columns; ++i) {
        row_zeros += static_cast<int32_t>(x[i] == 0);
        row_others += static_cast<int32_t>(x[i] == 0) & static_cast<int32_t>(y[i] != 0);
      }
      zeros += row_zeros;
      others += row_others;
    }
    given += zeros;
    filled += others;
  });
  return {given, filled};
}

// Squared output errors of each matrix of a stack: tr(ΔW H ΔWᵀ) by row ranges, H = I where it is
// undefined. Products in fp32: a report, not a decision.
class StackErrors {
 public:
  // Of the difference `changed` − `weights`; of `changed` where those are undefined.
  StackErrors(const at::Tensor& changed, const at::Tensor& weights, const at::Tensor& hessian) {
    const at::Tensor difference = weights.defined() ? changed - weights : changed;
    rows_ = hessian.defined() ? tensor::row_products(difference, hessian, difference)
                              : row_squares(difference);
  }
  double part(int64_t begin, int64_t count) const {
    return rows_.narrow(0, begin, count).sum().item<double>();
  }

 private:
  // fp64, without a copy of the matrix in it.
  static at::Tensor row_squares(const at::Tensor& values) {
    const at::Tensor sums = at::empty({values.size(0)}, at::kDouble);
    const int64_t columns = values.size(1);
    const at::Tensor plain = values.contiguous();
    const float* const from = plain.const_data_ptr<float>();
    double* const to = sums.mutable_data_ptr<double>();
    at::parallel_for(0, values.size(0), kRowsAtOnce, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        std::array<double, 8> parts{};  // side by side: sums in fp64 wait for each other
        const float* const x = from + row * columns;
        for (int64_t i = 0; i < columns; ++i) parts[i % 8] += static_cast<double>(x[i]) * x[i];
        to[row] = std::accumulate(parts.begin(), parts.end(), 0.0);
      }
    });
    return sums;
  }

  at::Tensor rows_;
};

}  // namespace

const std::string* GridSolver::grid_name(const std::string& weight) const {
  const auto found = options_.grids.find(weight);
  return found == options_.grids.end() ? nullptr : &found->second;
}

layerwise::Needs GridSolver::needs(const architecture::StageRef& at) const {
  const auto on_grid = [&](const std::string& weight) { return grid_name(weight) != nullptr; };
  bool any = false;
  if (at.layer == options_.layer_count()) {
    any = on_grid(options_.head);
  } else {
    for (const architecture::Tensor& matrix : options_.stage(at).matrices)
      any = any || on_grid(matrix.name);
  }
  // Rounding to nearest, too: its errors are measured with H.
  return any ? layerwise::Needs::kHessian : layerwise::Needs::kNothing;
}

layerwise::DriftForm GridSolver::drift_form() const {
  using layerwise::DriftForm;
  if (!options_.calibrated || options_.method != RoundingMethod::kGptq) return DriftForm::kNone;
  if (!options_.choose_drift_strength && !options_.drift_strength.active()) return DriftForm::kNone;
  return options_.gptaq ? DriftForm::kInputs : DriftForm::kOutputs;
}

at::Tensor GridSolver::target(const StageProblem& problem, const layerwise::Factor& factor,
                              layerwise::DriftStrength& drift_strength) const {
  drift_strength = options_.drift_strength;
  // Of an expert that no held-out token reached there is nothing to choose by.
  const bool chooses =
      options_.choose_drift_strength && problem.held_out_statistics.hessian.defined();
  if (!chooses)
    return layerwise::pre_correct(problem.weights, problem.drift, factor, drift_strength);
  const layerwise::Correction correction =
      layerwise::corrections(problem.weights, problem.drift, factor);
  drift_strength = layerwise::choose_drift_strength(
      problem.weights, correction, problem.held_out_statistics.hessian, problem.held_out_drift);
  return layerwise::pre_correct(problem.weights, correction, drift_strength);
}

bool GridSolver::is_sparse(const StageProblem& problem) const {
  return problem.at.layer < options_.layer_count() &&
         (options_.keep_zeros || !options_.pattern.none());
}

at::Tensor GridSolver::choose_zeros(const StageProblem& problem, const at::Tensor& target,
                                    const layerwise::Factor* factor) const {
  using layerwise::WeightScore;
  if (!is_sparse(problem)) return {};
  if (options_.keep_zeros) return problem.weights.ne(0).to(at::kByte);
  const bool measured = problem.statistics.mean_square.defined();
  const WeightScore score = factor != nullptr ? WeightScore::kObs
                            : measured        ? WeightScore::kWanda
                                              : WeightScore::kMagnitude;
  at::Tensor mask = at::ones(target.sizes(), at::kByte);
  int64_t begin = 0;
  for (const int64_t rows : problem.row_counts) {  // whole rows and columns are those of a matrix
    const at::Tensor scores =
        layerwise::pattern_scores(target.narrow(0, begin, rows), options_.pattern, score,
                                  problem.statistics.mean_square, factor);
    mask.narrow(0, begin, rows)
        .copy_(layerwise::choose_mask(scores, options_.pattern, layerwise::PatternScope::kRow));
    begin += rows;
  }
  return mask;
}

absl::StatusOr<GridSolver::Rounded> GridSolver::round_nearest(
    const StageProblem& problem, const std::shared_ptr<const grid::Grid>& grid) const {
  Rounded result;
  result.target = problem.weights;
  result.mask = choose_zeros(problem, result.target, nullptr);
  const at::Tensor importance = options_.importance ? problem.statistics.mean_square : at::Tensor();
  FRUGAL_ASSIGN_OR_RETURN(result.matrix,
                          layerwise::round_to_nearest(problem.weights, importance, grid,
                                                      options_.scale_search, result.mask));
  return result;
}

absl::StatusOr<layerwise::GptqResult> GridSolver::solve_columns(
    const StageProblem& problem, const at::Tensor& goal, const layerwise::Factor& factor,
    const std::shared_ptr<const grid::Grid>& grid, Rounded& rounded) const {
  const at::Tensor& mean_square = problem.statistics.mean_square;
  const at::Tensor importance = options_.importance ? mean_square : at::ones_like(mean_square);
  // Of an expert that only blended statistics speak of (walk/expert_blend.h) no drift is known.
  if (options_.gptaq && problem.drift.input.defined()) {
    return layerwise::gptaq(problem.weights, rounded.target, problem.drift.input,
                            options_.drift_strength.alpha, importance, factor, grid, options_.gptq);
  }
  if (options_.output_fisher != nullptr) {
    FRUGAL_ASSIGN_OR_RETURN(
        const std::vector<layerwise::OutputFisher> fishers,
        options_.output_fisher->of(problem.at.layer, problem.names, problem.row_counts));
    int64_t rows = 0, tokens = 0;
    for (const layerwise::OutputFisher& fisher : fishers) {
      if (!fisher.products.defined()) continue;
      rows = std::max(rows, fisher.rows);
      tokens = fisher.tokens;  // the same of all matrices that share an input
    }
    if (rows > 0) {
      rounded.output_damping = layerwise::output_damping_for(rows, tokens);
      return layerwise::gptq_two_sided(goal, importance, factor, grid, options_.gptq, fishers,
                                       rounded.output_damping, rounded.mask);
    }
  }
  return layerwise::gptq(goal, importance, factor, grid, options_.gptq, rounded.mask);
}

absl::StatusOr<GridSolver::Rounded> GridSolver::round(
    const StageProblem& problem, const std::shared_ptr<const grid::Grid>& grid) const {
  const bool blind = !problem.statistics.hessian.defined();  // an expert without tokens
  if (options_.method == RoundingMethod::kRoundToNearest || blind)
    return round_nearest(problem, grid);
  const at::Tensor& hessian = problem.statistics.hessian;
  const at::Tensor order =
      layerwise::column_order(hessian.diagonal(), grid->spec().block_columns, options_.order);
  layerwise::FactorOptions damping = options_.factor;
  if (damping.damping == 0)
    damping.damping = layerwise::damping_for(hessian.size(0), problem.statistics.worth());
  const auto factor = layerwise::factorize(hessian.to(options_.device), order, damping);
  // Of H itself: recorded, and said in the pass's warnings. A device that fails is an error.
  if (!factor.ok() && !absl::IsFailedPrecondition(factor.status())) return factor.status();
  if (!factor.ok()) {
    FRUGAL_ASSIGN_OR_RETURN(Rounded nearest, round_nearest(problem, grid));
    nearest.fell_back = true;
    return nearest;
  }
  Rounded result;
  result.damping = factor->damping;
  result.recoveries = factor->recoveries;
  result.dead_columns = static_cast<int64_t>(factor->dead.size());
  const bool drifts = drift_form() != layerwise::DriftForm::kNone;
  at::Tensor goal = drifts ? target(problem, *factor, result.drift_strength)
                           : problem.weights.to(factor->upper.device());
  result.target = goal.cpu();
  result.mask = choose_zeros(problem, result.target, &*factor);
  if (result.mask.defined())  // the best weights there are on the mask; then their rounding
    goal = layerwise::refit(result.target, result.mask, *factor, {}).weights.to(goal.device());
  FRUGAL_ASSIGN_OR_RETURN(layerwise::GptqResult solved,
                          solve_columns(problem, goal, *factor, grid, result));
  result.matrix = std::move(solved.matrix);
  result.sweep_kernel = std::move(solved.sweep_kernel);
  result.sweep_fallback = std::move(solved.fallback);
  const at::Tensor importance = options_.importance ? problem.statistics.mean_square : at::Tensor();
  FRUGAL_ASSIGN_OR_RETURN(
      const grid::QuantizedMatrix nearest,
      layerwise::round_to_nearest(result.target, importance, grid, true, result.mask));
  result.baseline = layerwise::decode(nearest);
  return result;
}

absl::StatusOr<std::vector<GridSolver::Part>> GridSolver::split(const StageProblem& problem) const {
  std::vector<Part> parts;
  for (size_t i = 0; i < problem.names.size(); ++i) {
    const std::string* name = grid_name(problem.names[i]);
    if (name == nullptr) continue;
    FRUGAL_ASSIGN_OR_RETURN(auto grid, grid::find_grid(*name, problem.weights.size(1)));
    auto found = std::find_if(parts.begin(), parts.end(), [&](const Part& part) {
      return part.grid->spec().name == grid->spec().name;
    });
    if (found == parts.end()) found = parts.insert(parts.end(), Part{.grid = std::move(grid)});
    found->members.push_back(i);
  }
  for (Part& part : parts) part.problem = layerwise::select_matrices(problem, part.members);
  return parts;
}

void GridSolver::keep_matrix(const std::string& name, const grid::QuantizedMatrix& matrix) {
  const std::vector<std::byte> blocks = grid::pack_matrix(matrix);
  const at::Tensor packed = at::empty({matrix.rows, matrix.row_bytes()}, at::kByte);
  std::memcpy(packed.mutable_data_ptr<uint8_t>(), blocks.data(), blocks.size());
  keep(name, packed);
}

absl::StatusOr<at::Tensor> GridSolver::solve_part(const Part& part, SolvedStage& stage) {
  const auto start = std::chrono::steady_clock::now();
  FRUGAL_ASSIGN_OR_RETURN(const Rounded rounded, round(part.problem, part.grid));
  const at::Tensor decoded = layerwise::decode(rounded.matrix);
  const std::chrono::duration<double> span = std::chrono::steady_clock::now() - start;
  FRUGAL_RETURN_IF_ERROR(record(part.problem, rounded, decoded, span.count()));
  int64_t begin = 0;
  for (size_t i = 0; i < part.problem.names.size(); ++i) {
    const int64_t rows = part.problem.row_counts[i];
    const size_t member = part.members[i];
    stage.matrices[member] = layerwise::take_rows(rounded.matrix, begin, rows);
    keep_matrix(part.problem.names[i], stage.matrices[member]);
    stage.targets[member] = rounded.target.narrow(0, begin, rows).contiguous();
    stage.weights[member] = decoded.narrow(0, begin, rows);
    begin += rows;
  }
  return decoded;
}

absl::StatusOr<at::Tensor> GridSolver::solve(const StageProblem& problem) {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<Part> parts, split(problem));
  SolvedStage stage;
  stage.weights = problem.weights.split_with_sizes(problem.row_counts, 0);
  stage.targets = stage.weights;
  stage.matrices.resize(problem.names.size());
  at::Tensor decoded;
  for (const Part& part : parts) {
    FRUGAL_ASSIGN_OR_RETURN(decoded, solve_part(part, stage));
  }
  if (reconstructs_layers()) {
    std::vector<layerwise::BlockMatrix>& matrices = layer_.emplace_back();
    for (size_t i = 0; i < problem.names.size(); ++i)
      matrices.push_back({std::move(stage.matrices[i]), stage.targets[i].contiguous()});
  }
  const bool is_whole = parts.size() == 1 && parts.front().members.size() == problem.names.size();
  return is_whole ? decoded : tensor::concatenate(stage.weights);
}

absl::StatusOr<std::vector<at::Tensor>> GridSolver::reconstruct_layer(
    const layerwise::LayerProblem& problem) {
  layerwise::BlockLayer layer = std::exchange(layer_, {});
  const auto on_grid = [](const std::vector<layerwise::BlockMatrix>& stage) {
    return std::any_of(stage.begin(), stage.end(),
                       [](const auto& matrix) { return matrix.matrix.grid != nullptr; });
  };
  if (std::none_of(layer.begin(), layer.end(), on_grid))
    return std::vector<at::Tensor>(layer.size());
  FRUGAL_ASSIGN_OR_RETURN(const layerwise::BlockRoundingResult result,
                          layerwise::round_block(problem, *options_.learned_rounding, layer));
  for (size_t stage = 0; stage < layer.size(); ++stage) {
    for (size_t i = 0; i < layer[stage].size(); ++i) {
      const grid::QuantizedMatrix& matrix = layer[stage][i].matrix;
      if (matrix.grid == nullptr) continue;
      keep_matrix(options_.stage({problem.layer, stage}).matrices[i].name, matrix);
    }
  }
  for (layerwise::MatrixRecord& row : records()) {
    row.layer_output_error_before = result.before;
    row.layer_output_error_after = result.after;
  }
  return layerwise::stacked_weights(layer);
}

absl::Status GridSolver::record(const StageProblem& problem, const Rounded& rounded,
                                const at::Tensor& decoded, double seconds) {
  const int64_t columns = problem.weights.size(1);
  const bool measured = problem.statistics.hessian.defined();
  const at::Tensor hessian = measured ? problem.statistics.hessian.to(at::kFloat) : at::Tensor();
  const StackErrors after(decoded, rounded.target, hessian), outputs(problem.weights, {}, hessian);
  // Where nothing was corrected before rounding, the target is the original.
  const StackErrors original = rounded.target.is_same(problem.weights)
                                   ? after
                                   : StackErrors(decoded, problem.weights, hessian);
  std::optional<StackErrors> before;
  if (rounded.baseline.defined()) before.emplace(rounded.baseline, rounded.target, hessian);
  int64_t begin = 0;
  for (size_t i = 0; i < problem.names.size(); ++i) {
    const int64_t rows = problem.row_counts[i];
    const double reference = outputs.part(begin, rows), squared = after.part(begin, rows);
    const double error = relative_error(squared, reference);
    const std::string& grid = rounded.matrix.grid->spec().name;
    FRUGAL_RETURN_IF_ERROR(
        check_solved(options_.gate,
                     {.name = problem.names[i],
                      .how = base::str_cat("on grid ", grid),
                      .error = error,
                      .tokens = measured ? std::optional(problem.statistics.tokens) : std::nullopt,
                      .remedy = "raise `damping`, calibrate on more text or take a finer grid"}));
    layerwise::MatrixRecord row;
    row.set_stage(problem.at);
    row.matrix = problem.names[i];
    row.grid = grid;
    if (before) row.error_before = relative_error(before->part(begin, rows), reference);
    if (measured) {
      row.error_after = error;
      row.error_original = relative_error(original.part(begin, rows), reference);
      row.squared_error = squared;
    } else {
      row.weight_error = error;
    }
    if (rounded.mask.defined())
      row.zeros = rows * columns - rounded.mask.narrow(0, begin, rows).sum().item<int64_t>();
    const ZeroCounts zeros =
        count_zeros(problem.weights.narrow(0, begin, rows), decoded.narrow(0, begin, rows));
    row.zeros_given = zeros.given;
    row.zeros_filled = zeros.filled;
    row.alpha = rounded.drift_strength.alpha;
    row.beta = rounded.drift_strength.beta;
    if (rounded.damping > 0) row.damping = rounded.damping;
    if (rounded.output_damping > 0) row.output_damping = rounded.output_damping;
    row.recoveries = rounded.recoveries;
    row.dead_columns = rounded.dead_columns;
    row.fell_back = rounded.fell_back;
    if (!rounded.sweep_kernel.empty()) row.sweep_kernel = rounded.sweep_kernel;
    if (!rounded.sweep_fallback.empty()) row.sweep_fallback = rounded.sweep_fallback;
    row.weights = rows * columns;
    row.set_statistics(problem.statistics);
    row.seconds =
        seconds * static_cast<double>(rows) / static_cast<double>(problem.weights.size(0));
    keep(std::move(row));
    begin += rows;
  }
  return absl::OkStatus();
}

absl::StatusOr<grid::QuantizedMatrix> GridSolver::stored_matrix(const LayerStore::Layer& layer,
                                                                std::string_view name,
                                                                std::string_view grid_name,
                                                                int64_t rows, int64_t columns) {
  FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(grid_name, columns));
  const grid::GridSpec& spec = grid->spec();
  const int64_t row_bytes = columns / spec.block_columns * spec.block_bytes;
  FRUGAL_ASSIGN_OR_RETURN(const auto bytes,
                          layer.bytes(name, format::DType::kU8, {rows, row_bytes}));
  return grid::unpack_matrix(grid, rows, columns, bytes);
}

absl::StatusOr<at::Tensor> GridSolver::restore(const StageProblem& problem) {
  std::vector<at::Tensor> rows = problem.weights.split_with_sizes(problem.row_counts, 0);
  for (size_t i = 0; i < problem.names.size(); ++i) {
    const std::string* name = grid_name(problem.names[i]);
    if (name == nullptr) continue;
    FRUGAL_ASSIGN_OR_RETURN(const grid::QuantizedMatrix matrix,
                            stored_matrix(stored(), problem.names[i], *name, problem.row_counts[i],
                                          problem.weights.size(1)));
    rows[i] = layerwise::decode(matrix);
  }
  return tensor::concatenate(rows);
}

}  // namespace frugal::passes
