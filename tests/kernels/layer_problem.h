// Small layer problems with everything a solver needs worked out in double, and the plain driver
// around the kernels.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "grid/grid.h"
#include "kernels/sweep.h"
#include "support/shared_data.h"

namespace frugal::kernels {

std::shared_ptr<const grid::Grid> grid_or_die(std::string_view name, int64_t row_columns = 0);

struct LayerProblem {
  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<float> weights;     // [rows, columns]
  std::vector<double> hessian;    // [columns, columns] damped
  std::vector<float> hessian_f;   // the same in fp32
  std::vector<float> importance;  // its diagonal
};

// Correlated inputs with a few strong channels: H = X^T X / T of inputs with a spectrum 1 / (1 +
// i), damped by 1%.
LayerProblem random_problem(int64_t rows, int64_t columns, uint64_t seed);

// U with (P H P^T)^-1 = U^T U, upper triangular, [columns, columns]; order[p] = column at position
// p.
std::vector<float> inverse_factor(const std::vector<double>& hessian,
                                  const std::vector<int32_t>& order);

std::vector<int32_t> identity_order(int64_t columns);
// Blocks by their largest diagonal entry, columns inside them by theirs (group-aware order).
std::vector<int32_t> group_aware_order(const LayerProblem& problem, int64_t block_columns);

struct Solution {
  grid::QuantizedMatrix matrix;
  std::vector<double> row_loss;
};
struct SolveOptions {
  std::vector<int32_t> order;
  int64_t window = 0;
  bool fit = true;                 // false: static scales from the original weights
  std::vector<uint8_t> mask = {};  // [rows, columns], or empty
};
// The whole sweep: windows by `run`, between them updates in the same order and precision as
// inside.
Solution solve(const LayerProblem& problem, std::shared_ptr<const grid::Grid> grid,
               const SolveOptions& options, void (*run)(const SweepBlock&) = sweep);

// (Q - W) H (Q - W)^T of each row, in double.
std::vector<double> row_objectives(const LayerProblem& problem,
                                   const grid::QuantizedMatrix& matrix);
// The best that any codes reach for the given parameters of a one-row problem with 4 columns and 16
// levels: tries all.
double best_objective(const LayerProblem& problem, const grid::Grid& grid,
                      const std::byte* parameters);

// About half of [rows, columns] is 0, never a whole block.
std::vector<uint8_t> random_mask(int64_t rows, int64_t columns, uint64_t seed);

double total(const std::vector<double>& values);

}  // namespace frugal::kernels
