#include "layer_problem.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

namespace frugal::kernels {
namespace {

// Lower Cholesky factor in place of the lower triangle.
void cholesky(std::vector<double>& a, int64_t n) {
  for (int64_t j = 0; j < n; ++j) {
    for (int64_t i = j; i < n; ++i) {
      double sum = a[i * n + j];
      for (int64_t k = 0; k < j; ++k) sum -= a[i * n + k] * a[j * n + k];
      a[i * n + j] = i == j ? std::sqrt(sum) : sum / a[j * n + j];
    }
  }
}

}  // namespace

std::shared_ptr<const grid::Grid> grid_or_die(std::string_view name, int64_t row_columns) {
  auto grid = grid::find_grid(name, row_columns);
  if (!grid.ok()) throw std::runtime_error(grid.status().ToString());
  return *grid;
}

LayerProblem random_problem(int64_t rows, int64_t columns, uint64_t seed) {
  base::RandomStream random(seed, "kernels/problem");
  LayerProblem problem{.rows = rows,
                       .columns = columns,
                       .weights = {},
                       .hessian = {},
                       .hessian_f = {},
                       .importance = {}};
  for (int64_t i = 0; i < rows * columns; ++i)
    problem.weights.push_back(static_cast<float>(random.normal() * 0.05));
  const int64_t tokens = 2 * columns;
  std::vector<double> inputs(tokens * columns);
  std::vector<double> channel(columns);
  for (double& value : channel)
    value = std::exp(0.5 * random.normal()) * (random.bernoulli(0.05) ? 6 : 1);
  for (int64_t t = 0; t < tokens; ++t) {
    double shared = random.normal();  // makes neighbors correlated
    for (int64_t i = 0; i < columns; ++i) {
      shared = 0.8 * shared + 0.6 * random.normal();
      inputs[t * columns + i] = channel[i] * shared;
    }
  }
  problem.hessian.assign(columns * columns, 0.0);
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t i = 0; i < columns; ++i) {
      const double x = inputs[t * columns + i] / static_cast<double>(tokens);
      for (int64_t j = 0; j < columns; ++j)
        problem.hessian[i * columns + j] += x * inputs[t * columns + j];
    }
  }
  double mean = 0;
  for (int64_t i = 0; i < columns; ++i)
    mean += problem.hessian[i * columns + i] / static_cast<double>(columns);
  for (int64_t i = 0; i < columns; ++i) {
    problem.importance.push_back(static_cast<float>(problem.hessian[i * columns + i]));
    problem.hessian[i * columns + i] += 0.01 * mean;
  }
  problem.hessian_f.assign(problem.hessian.begin(), problem.hessian.end());
  return problem;
}

std::vector<float> inverse_factor(const std::vector<double>& hessian,
                                  const std::vector<int32_t>& order) {
  // With J the reversal and L = chol(J H J): U = (J L J)^-1.
  const auto n = static_cast<int64_t>(order.size());
  std::vector<double> lower(n * n);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j)
      lower[i * n + j] = hessian[order[n - 1 - i] * n + order[n - 1 - j]];
  }
  cholesky(lower, n);
  const auto m = [&](int64_t i, int64_t j) {
    return lower[(n - 1 - i) * n + (n - 1 - j)];
  };  // upper triangular
  std::vector<double> inverse(n * n, 0.0);
  for (int64_t column = 0; column < n; ++column) {
    for (int64_t i = column; i >= 0; --i) {
      double sum = i == column ? 1.0 : 0.0;
      for (int64_t k = i + 1; k <= column; ++k) sum -= m(i, k) * inverse[k * n + column];
      inverse[i * n + column] = sum / m(i, i);
    }
  }
  return {inverse.begin(), inverse.end()};
}

std::vector<int32_t> identity_order(int64_t columns) {
  std::vector<int32_t> order(columns);
  std::iota(order.begin(), order.end(), 0);
  return order;
}

std::vector<int32_t> group_aware_order(const LayerProblem& problem, int64_t block_columns) {
  std::vector<int32_t> order = identity_order(problem.columns);
  const auto& h = problem.importance;
  const auto strongest = [&](int32_t column) {
    const int64_t start = column / block_columns * block_columns;
    return *std::max_element(h.begin() + start, h.begin() + start + block_columns);
  };
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    if (a / block_columns == b / block_columns) return h[a] > h[b];
    return strongest(a) > strongest(b);
  });
  return order;
}

Solution solve(const LayerProblem& problem, std::shared_ptr<const grid::Grid> grid,
               const SolveOptions& options, void (*run)(const SweepBlock&)) {
  const int64_t n = problem.columns;
  Solution solution{grid::empty_matrix(grid, problem.rows, n),
                    std::vector<double>(problem.rows, 0.0)};
  grid::QuantizedMatrix& matrix = solution.matrix;
  const int64_t parameter_bytes = matrix.blocks_per_row() * grid->spec().parameter_bytes;
  if (!options.fit) {
    fit_blocks({.grid = grid.get(),
                .rows = problem.rows,
                .width = n,
                .weights = problem.weights.data(),
                .weights_stride = n,
                .importance = problem.importance.data(),
                .parameters = matrix.parameters.data(),
                .parameters_stride = parameter_bytes,
                .mask = options.mask.empty() ? nullptr : options.mask.data(),
                .mask_stride = n});
  }
  const std::vector<float> factor = inverse_factor(problem.hessian, options.order);
  std::vector<float> w(problem.rows * n);
  for (int64_t r = 0; r < problem.rows; ++r) {
    for (int64_t p = 0; p < n; ++p) w[r * n + p] = problem.weights[r * n + options.order[p]];
  }
  for (int64_t begin = 0; begin < n; begin += options.window) {
    const int64_t width = std::min(options.window, n - begin);
    std::vector<float> errors(problem.rows * width);
    run({.grid = grid.get(),
         .rows = problem.rows,
         .width = width,
         .weights = w.data() + begin,
         .weights_stride = n,
         .factor = factor.data() + begin * n + begin,
         .factor_stride = n,
         .columns = options.order.data() + begin,
         .fit = options.fit,
         .importance = problem.importance.data(),
         .codes = matrix.codes.data(),
         .codes_stride = n,
         .parameters = matrix.parameters.data(),
         .parameters_stride = parameter_bytes,
         .errors = errors.data(),
         .errors_stride = width,
         .row_loss = solution.row_loss.data(),
         .mask = options.mask.empty() ? nullptr : options.mask.data(),
         .mask_stride = n});
    for (int64_t r = 0; r < problem.rows; ++r) {
      for (int64_t p = 0; p < width; ++p) {
        for (int64_t j = begin + width; j < n; ++j) {
          w[r * n + j] =
              std::fma(-errors[r * width + p], factor[(begin + p) * n + j], w[r * n + j]);
        }
      }
    }
  }
  return solution;
}

std::vector<double> row_objectives(const LayerProblem& problem,
                                   const grid::QuantizedMatrix& matrix) {
  const int64_t n = problem.columns;
  std::vector<float> decoded(problem.rows * n);
  grid::decode_matrix(matrix, decoded.data());
  std::vector<double> objectives(problem.rows, 0.0);
  for (int64_t r = 0; r < problem.rows; ++r) {
    for (int64_t i = 0; i < n; ++i) {
      const double error = static_cast<double>(decoded[r * n + i]) - problem.weights[r * n + i];
      for (int64_t j = 0; j < n; ++j) {
        objectives[r] += error * problem.hessian[i * n + j] *
                         (static_cast<double>(decoded[r * n + j]) - problem.weights[r * n + j]);
      }
    }
  }
  return objectives;
}

double best_objective(const LayerProblem& problem, const grid::Grid& grid,
                      const std::byte* parameters) {
  float scale, offset;
  grid.expand(parameters, &scale, &offset);
  double best = INFINITY;
  for (int codes = 0; codes < 1 << 16; ++codes) {
    double error[4];
    for (int i = 0; i < 4; ++i)
      error[i] = scale * grid.spec().levels[codes >> 4 * i & 15] + offset - problem.weights[i];
    double sum = 0;
    for (int i = 0; i < 4; ++i) {
      for (int j = 0; j < 4; ++j) sum += error[i] * problem.hessian[i * 4 + j] * error[j];
    }
    best = std::min(best, sum);
  }
  return best;
}

std::vector<uint8_t> random_mask(int64_t rows, int64_t columns, uint64_t seed) {
  base::RandomStream random(seed, "kernels/mask");
  std::vector<uint8_t> mask;
  for (int64_t i = 0; i < rows * columns; ++i)
    mask.push_back(i % 16 == 0 || random.bernoulli(0.5) ? 1 : 0);
  return mask;
}

double total(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

}  // namespace frugal::kernels
