// The decisions of the finish that are taken row by row: which stored parameters, and whether they
// pay.
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

#include "kernels/refine_kernels.h"
#include "kernels/sweep_plan.h"

namespace frugal::kernels {
namespace {

// Below this the two directions cannot be told apart in fp32 sums.
constexpr double kParallel = 1e-5;
constexpr int64_t kLargestParameters = 64;  // bytes of one block

struct Step {
  double first = 0;
  double second = 0;
};

// Minimizer of 2 (x p + y q) + x^2 pp + 2 x y pq + y^2 qq.
Step minimize(double p, double q, double pp, double pq, double qq) {
  const double determinant = pp * qq - pq * pq;
  if (determinant > kParallel * pp * qq)
    return {(pq * q - qq * p) / determinant, (pq * p - pp * q) / determinant};
  return {pp > 0 ? -p / pp : 0.0, 0.0};
}

double gain(double x, double y, double p, double q, double pp, double pq, double qq) {
  return 2 * (x * p + y * q) + x * x * pp + 2 * x * y * pq + y * y * qq;
}

// The stored parameters that a trial gives, and how they change the objective.
struct Trial {
  std::byte parameters[kLargestParameters];
  float scale[grid::kMaxGroupsPerBlock];
  float offset[grid::kMaxGroupsPerBlock];
  double change = 0;
};

void take(const Trial& trial, const grid::GridSpec& spec, std::byte* parameters, float* scale,
          float* offset) {
  std::memcpy(parameters, trial.parameters, static_cast<size_t>(spec.parameter_bytes));
  std::memcpy(scale, trial.scale, spec.groups_per_block() * sizeof(float));
  std::memcpy(offset, trial.offset, spec.groups_per_block() * sizeof(float));
}

[[noreturn]] void refuse(const std::string& what) {
  throw std::invalid_argument("refine: " + what);
}

void check(const RefineProblem& problem) {
  if (problem.grid == nullptr) refuse("no grid");
  const grid::GridSpec& spec = problem.grid->spec();
  if (problem.rows < 0 || problem.columns < 0 || problem.columns % spec.block_columns != 0) {
    refuse(std::to_string(problem.columns) + " columns are no multiple of the grid's block of " +
           std::to_string(spec.block_columns));
  }
  if (problem.rows == 0 || problem.columns == 0) return;
  if (problem.target == nullptr || problem.hessian == nullptr || problem.codes == nullptr ||
      problem.parameters == nullptr) {
    refuse("a required pointer is null");
  }
  if (problem.target_stride < problem.columns || problem.hessian_stride < problem.columns ||
      problem.codes_stride < problem.columns) {
    refuse("a row stride is smaller than " + std::to_string(problem.columns) + " columns");
  }
  if (spec.parameter_bytes > kLargestParameters)
    refuse("the grid's parameters are larger than expected");
  for (int64_t i = 0; i < problem.columns; ++i) {
    const float diagonal = problem.hessian[i * problem.hessian_stride + i];
    if (!(diagonal > 0) || !std::isfinite(diagonal)) {
      refuse("the Hessian's diagonal must be positive and finite, entry " + std::to_string(i) +
             " is " + std::to_string(diagonal) + "; damp it");
    }
  }
}

// Every pinned code decodes to zero.
void check_pinned(const RefineProblem& problem) {
  const grid::GridSpec& spec = problem.grid->spec();
  check_mask(*problem.grid, problem.mask, problem.mask_stride, problem.columns, "refine");
  if (problem.mask == nullptr) return;
  float scale[grid::kMaxGroupsPerBlock], offset[grid::kMaxGroupsPerBlock];
  for (int64_t row = 0; row < problem.rows; ++row) {
    const uint8_t* const codes = problem.codes + row * problem.codes_stride;
    const uint8_t* const mask = problem.mask + row * problem.mask_stride;
    const std::byte* const parameters = problem.parameters + row * problem.parameters_stride;
    for (int64_t i = 0; i < problem.columns; ++i) {
      const int64_t block = i / spec.block_columns;
      if (i % spec.block_columns == 0)
        problem.grid->expand(parameters + block * spec.parameter_bytes, scale, offset);
      const int64_t group = i % spec.block_columns / spec.group_columns;
      if (mask[i] == 0 && scale[group] * spec.levels[codes[i]] + offset[group] != 0) {
        refuse("the weight at row " + std::to_string(row) + ", column " + std::to_string(i) +
               " is pinned to zero, but its code is another's; sweep with the same mask first");
      }
    }
  }
}

}  // namespace

RefinePlan plan_refine(const RefineProblem& problem) {
  check(problem);
  if (problem.rows > 0 && problem.columns > 0) check_pinned(problem);
  const grid::GridSpec& spec = problem.grid->spec();
  RefinePlan plan;
  plan.table = problem.grid->table();
  plan.groups = problem.columns / spec.group_columns;
  plan.block_step = spec.affine || spec.groups_per_block() > 1;
  plan.row_sums.assign(problem.columns, 0.0f);
  for (int64_t i = 0; spec.affine && problem.rows > 0 && i < problem.columns; ++i) {
    const int64_t group = i / spec.group_columns;
    const float* const row =
        problem.hessian + i * problem.hessian_stride + group * spec.group_columns;
    for (int64_t j = 0; j < spec.group_columns; ++j) plan.row_sums[i] += row[j];
  }
  return plan;
}

bool refit_group(const grid::Grid& grid, int64_t group, const GroupSums& s, std::byte* parameters,
                 float* scale, float* offset) {
  const grid::GridSpec& spec = grid.spec();
  const auto change_of = [&](double x, double y) {
    return gain(x, y, s.t_gradient, s.gradient, s.tt, s.t1, s.ones);
  };
  const Step wished = spec.affine ? minimize(s.t_gradient, s.gradient, s.tt, s.t1, s.ones)
                                  : minimize(s.t_gradient, 0, s.tt, 0, 0);
  Trial trial;
  std::memcpy(trial.parameters, parameters, static_cast<size_t>(spec.parameter_bytes));
  const auto store = [&](double scale_step, double offset_step) {
    grid.set_group(group, static_cast<float>(scale[group] + scale_step),
                   static_cast<float>(offset[group] + offset_step), trial.parameters);
    grid.expand(trial.parameters, trial.scale, trial.offset);
  };
  store(wished.first, wished.second);
  if (spec.affine && s.ones > 0) {
    // The offset that is best for the scale as stored: the two are strongly coupled.
    const double step = static_cast<double>(trial.scale[group]) - scale[group];
    store(step, -(s.gradient + step * s.t1) / s.ones);
  }
  const double scale_step = static_cast<double>(trial.scale[group]) - scale[group];
  const double offset_step = static_cast<double>(trial.offset[group]) - offset[group];
  if (!(change_of(scale_step, offset_step) < 0) || (spec.affine && trial.scale[group] < 0))
    return false;
  take(trial, spec, parameters, scale, offset);
  return true;
}

bool refit_block(const grid::Grid& grid, const BlockSums& s, std::byte* parameters, float* scale,
                 float* offset) {
  const grid::GridSpec& spec = grid.spec();
  const auto largest = [&](const float* values) {
    int64_t at = 0;
    for (int64_t g = 1; g < spec.groups_per_block(); ++g) {
      if (std::fabs(values[g]) > std::fabs(values[at])) at = g;
    }
    return at;
  };
  const int64_t scale_at = largest(scale);
  const int64_t offset_at = largest(offset);
  if (scale[scale_at] == 0) return false;
  const auto ratio = [](float now, float before) {
    return before == 0 ? 0.0 : static_cast<double>(now) / before - 1;
  };
  const double together = static_cast<double>(s.aa) + 2.0 * s.ac + s.cc;
  const double common =
      together > 0 ? -(static_cast<double>(s.a_gradient) + s.c_gradient) / together : 0;
  // First both factors freely, then one for both (all that a grid with zero points can store).
  const Step steps[2] = {minimize(s.a_gradient, s.c_gradient, s.aa, s.ac, s.cc), {common, common}};
  Trial best;
  for (const Step& step : steps) {
    Trial trial;
    std::memcpy(trial.parameters, parameters, static_cast<size_t>(spec.parameter_bytes));
    grid.multiply(static_cast<float>(1 + step.first), static_cast<float>(1 + step.second),
                  trial.parameters);
    grid.expand(trial.parameters, trial.scale, trial.offset);
    trial.change = gain(ratio(trial.scale[scale_at], scale[scale_at]),
                        ratio(trial.offset[offset_at], offset[offset_at]), s.a_gradient,
                        s.c_gradient, s.aa, s.ac, s.cc);
    // The offset keeps its sign: that of the K types must not be positive.
    const bool valid = !spec.affine || (trial.scale[scale_at] > 0 &&
                                        trial.offset[offset_at] * offset[offset_at] >= 0);
    if (valid && trial.change < best.change) best = trial;
  }
  if (!(best.change < 0)) return false;
  take(best, spec, parameters, scale, offset);
  return true;
}

}  // namespace frugal::kernels
