#include "layerwise/rounding/two_sided_gptq.h"

#include <algorithm>
#include <cmath>

#include "tensor/aten.h"
#include "tensor/tiles.h"

namespace frugal::layerwise {
namespace {

// Sixteen blocks, of whole vectors of rows: with fewer the feedback comes too late (README.md).
constexpr int64_t kBlocks = 16, kLanes = 16;

int64_t block_rows(int64_t rows) {
  const int64_t lanes = (rows + kBlocks * kLanes - 1) / (kBlocks * kLanes);
  return std::max<int64_t>(1, lanes) * kLanes;
}

// U with G + damping · diag G = U Uᵀ in the order of rows given, and its inverse; fp32.
struct OutputFactor {
  at::Tensor order;  // [rows] int64
  at::Tensor upper, inverse;
};

OutputFactor factorize_outputs(const at::Tensor& products, double damping) {
  OutputFactor factor;
  // A row whose outputs never mattered still has to be somewhere on the scale.
  const double floor = 1e-8 * products.diagonal().mean().item<double>();
  const at::Tensor diagonal = products.diagonal().clamp_min(floor);
  factor.order = diagonal.argsort(/*stable=*/true, 0, /*descending=*/true).contiguous();
  at::Tensor lower;
  for (double share = damping; !lower.defined(); share = std::max(2 * share, 1e-3)) {
    TORCH_CHECK(share <= 2,
                "the second moment of the outputs' gradients is not positive definite, even with "
                "its diagonal doubled");
    at::Tensor damped = products.clone();
    damped.diagonal().copy_(diagonal * (1 + share));
    damped = damped.index_select(0, factor.order).index_select(1, factor.order);
    lower = lower_cholesky(damped.flip({0, 1}).contiguous());
  }
  factor.upper = lower.flip({0, 1}).to(at::kFloat).contiguous();
  factor.inverse = invert_lower(lower).flip({0, 1}).to(at::kFloat).contiguous();
  return factor;
}

// Rows of a matrix to the places `to` in another.
void put_rows(const grid::QuantizedMatrix& part, const int64_t* to, grid::QuantizedMatrix& whole) {
  const int64_t columns = whole.columns;
  const int64_t parameters = whole.blocks_per_row() * whole.grid->spec().parameter_bytes;
  for (int64_t r = 0; r < part.rows; ++r) {
    std::copy_n(part.codes.begin() + r * columns, columns, whole.codes.begin() + to[r] * columns);
    std::copy_n(part.parameters.begin() + r * parameters, parameters,
                whole.parameters.begin() + to[r] * parameters);
  }
}

class TwoSidedSweep {
 public:
  TwoSidedSweep(const at::Tensor& target, const at::Tensor& importance, const Factor& factor,
                const std::shared_ptr<const grid::Grid>& grid, const GptqOptions& options,
                const at::Tensor& mask)
      : target_(target),
        importance_(importance),
        factor_(factor),
        grid_(grid),
        options_(options),
        mask_(mask) {
    factor_.upper = factor.upper.to(at::kFloat);              // once for all blocks
    factor_.damped = factor.damped.to(at::kCPU, at::kFloat);  // where the finish wants it
    result_.matrix = grid::empty_matrix(grid, target.size(0), target.size(1));
  }

  void rows_alone(int64_t begin, int64_t count) {
    solve(target_.narrow(0, begin, count), at::arange(begin, begin + count, at::kLong));
  }

  void rows_together(int64_t begin, const OutputFisher& fisher, double damping) {
    const OutputFactor outputs = factorize_outputs(fisher.products, damping);
    const at::Tensor places = outputs.order + begin;
    const at::Tensor wanted = target_.index_select(0, places.to(target_.device()));
    const at::Tensor errors = at::zeros({fisher.rows, target_.size(1)}, at::kFloat);
    const int64_t step = block_rows(fisher.rows);
    for (int64_t row = 0; row < fisher.rows; row += step) {
      const int64_t count = std::min(step, fisher.rows - row);
      const at::Tensor goal = wanted.narrow(0, row, count);
      at::Tensor moved = goal;
      if (row > 0) {
        const auto block = [&](const at::Tensor& u, int64_t first, int64_t rows) {
          return u.narrow(0, first, rows).narrow(1, row, count).t().contiguous();
        };
        const at::Tensor carried =
            tensor::matrix_product(block(outputs.upper, 0, row), errors.narrow(0, 0, row));
        moved =
            goal -
            tensor::matrix_product(block(outputs.inverse, row, count), carried).to(goal.device());
      }
      const at::Tensor rounded = solve(moved, places.narrow(0, row, count));
      errors.narrow(0, row, count).copy_(rounded - goal.cpu());
    }
  }

  GptqResult take() { return std::move(result_); }

 private:
  // Rounds `goal` into the rows `places` of the result; decoded.
  at::Tensor solve(const at::Tensor& goal, const at::Tensor& places) {
    const at::Tensor mask = mask_.defined() ? mask_.index_select(0, places) : mask_;
    const GptqResult part = gptq(goal.contiguous(), importance_, factor_, grid_, options_, mask);
    put_rows(part.matrix, places.contiguous().const_data_ptr<int64_t>(), result_.matrix);
    result_.sweep_objective += part.sweep_objective;
    result_.objective += part.objective;
    result_.sweep_kernel = part.sweep_kernel;
    result_.fallback = part.fallback;
    return decode(part.matrix);
  }

  const at::Tensor& target_;
  const at::Tensor& importance_;
  Factor factor_;
  const std::shared_ptr<const grid::Grid>& grid_;
  const GptqOptions& options_;
  const at::Tensor& mask_;
  GptqResult result_;
};

}  // namespace

double output_damping_for(int64_t rows, int64_t tokens) {
  const double noise =
      std::sqrt(static_cast<double>(rows) / static_cast<double>(std::max<int64_t>(1, tokens)));
  return std::clamp(noise, 0.02, 1.0);
}

GptqResult gptq_two_sided(const at::Tensor& target, const at::Tensor& importance,
                          const Factor& factor, const std::shared_ptr<const grid::Grid>& grid,
                          const GptqOptions& options, const std::vector<OutputFisher>& fishers,
                          double damping, const at::Tensor& mask) {
  TwoSidedSweep sweep(target, importance, factor, grid, options, mask);
  int64_t begin = 0;
  for (const OutputFisher& fisher : fishers) {
    if (fisher.products.defined()) {
      TORCH_CHECK(fisher.products.dim() == 2 && fisher.products.size(0) == fisher.rows &&
                      fisher.products.size(1) == fisher.rows &&
                      fisher.products.scalar_type() == at::kDouble,
                  "a Fisher matrix of ", fisher.products.sizes(), " for ", fisher.rows, " rows");
      sweep.rows_together(begin, fisher, damping);
    } else {
      sweep.rows_alone(begin, fisher.rows);
    }
    begin += fisher.rows;
  }
  TORCH_CHECK(begin == target.size(0), "Fisher matrices of ", begin, " rows for ", target.size(0));
  return sweep.take();
}

}  // namespace frugal::layerwise
