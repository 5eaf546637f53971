#include "layerwise/rounding/gptq.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/cuda_module.h"
#include "kernels/refine.h"
#include "kernels/sweep.h"
#include "layerwise/rounding/gptq_device.h"
#include "tensor/aten.h"
#include "tensor/tiles.h"

namespace frugal::layerwise {
namespace {

constexpr int64_t kWindow = 128;  // columns between two updates of everything behind
constexpr int64_t kLargestWindow =
    512;  // of blocks wider than this the parameters are fitted first

std::span<const float> floats(const at::Tensor& values) {
  if (!values.defined()) return {};
  return {values.const_data_ptr<float>(), static_cast<size_t>(values.numel())};
}

// Which weights are kept, [R, in] in the matrix's order; nothing where all are.
struct Mask {
  at::Tensor values;
  const uint8_t* data() const {
    return values.defined() ? values.const_data_ptr<uint8_t>() : nullptr;
  }
  int64_t stride() const { return values.defined() ? values.stride(0) : 0; }
};

Mask checked_mask(const at::Tensor& mask, const at::Tensor& weights, const grid::GridSpec& spec) {
  if (!mask.defined()) return {};
  TORCH_CHECK(mask.scalar_type() == at::kByte && mask.sizes() == weights.sizes(),
              "the mask must be uint8 ", weights.sizes(), ", found ", mask.scalar_type(), " ",
              mask.sizes());
  TORCH_CHECK_VALUE(spec.holds_zero, "grid ", spec.name,
                    " has no exact zero, so that weights cannot be pinned there");
  return {mask.contiguous()};
}

// The state of one sweep over all columns.
class ColumnSweep {
 public:
  ColumnSweep(const at::Tensor& target, const at::Tensor& importance, const Factor& factor,
              const Mask& mask, grid::QuantizedMatrix& matrix, bool dynamic)
      : matrix_(matrix),
        mask_(mask),
        dynamic_(dynamic),
        importance_(importance),
        upper_(factor.upper.to(at::kFloat)),
        order_(factor.order.to(at::kInt).contiguous()),
        current_(target.index_select(1, factor.order)),
        losses_(static_cast<size_t>(matrix.rows), 0.0) {}

  double run() {
    const int64_t block = matrix_.grid->spec().block_columns;
    const bool whole_blocks = block <= kLargestWindow;
    const int64_t width = whole_blocks ? std::max(block, kWindow / block * block) : kWindow;
    for (int64_t begin = 0; begin < matrix_.columns;) {
      int64_t end = std::min(begin + width, matrix_.columns);
      if (!whole_blocks) {
        end = std::min(end, (begin / block + 1) * block);
        if (dynamic_ && begin % block == 0) fit(begin, block);
      }
      window(begin, end - begin, dynamic_ && whole_blocks);
      begin = end;
    }
    double total = 0;
    for (const double loss : losses_) total += loss;
    return total;
  }

 private:
  void window(int64_t begin, int64_t width, bool fit_inside) {
    const at::Tensor weights = current_.narrow(1, begin, width);
    const at::Tensor errors = at::empty({matrix_.rows, width}, at::kFloat);
    kernels::SweepBlock sweep;
    sweep.grid = matrix_.grid.get();
    sweep.rows = matrix_.rows;
    sweep.width = width;
    sweep.weights = weights.const_data_ptr<float>();
    sweep.weights_stride = current_.stride(0);
    sweep.factor = upper_.const_data_ptr<float>() + begin * upper_.stride(0) + begin;
    sweep.factor_stride = upper_.stride(0);
    sweep.columns = order_.const_data_ptr<int32_t>() + begin;
    sweep.fit = fit_inside;
    sweep.importance = importance_.const_data_ptr<float>();
    sweep.codes = matrix_.codes.data();
    sweep.codes_stride = matrix_.columns;
    sweep.parameters = matrix_.parameters.data();
    sweep.parameters_stride = parameter_stride();
    sweep.errors = errors.data_ptr<float>();
    sweep.errors_stride = width;
    sweep.row_loss = losses_.data();
    sweep.mask = mask_.data();
    sweep.mask_stride = mask_.stride();
    kernels::sweep(sweep);
    const int64_t end = begin + width, behind = matrix_.columns - end;
    if (behind == 0) return;
    tensor::subtract_product(current_.narrow(1, end, behind), errors,
                             upper_.narrow(0, begin, width).narrow(1, end, behind));
  }

  void fit(int64_t begin, int64_t width) {
    kernels::FitBlocks blocks;
    blocks.grid = matrix_.grid.get();
    blocks.rows = matrix_.rows;
    blocks.width = width;
    blocks.weights = current_.const_data_ptr<float>() + begin;
    blocks.weights_stride = current_.stride(0);
    blocks.columns = order_.const_data_ptr<int32_t>() + begin;
    blocks.importance = importance_.const_data_ptr<float>();
    blocks.parameters = matrix_.parameters.data();
    blocks.parameters_stride = parameter_stride();
    blocks.mask = mask_.data();
    blocks.mask_stride = mask_.stride();
    kernels::fit_blocks(blocks);
  }

  int64_t parameter_stride() const {
    return matrix_.blocks_per_row() * matrix_.grid->spec().parameter_bytes;
  }

  grid::QuantizedMatrix& matrix_;
  const Mask& mask_;
  bool dynamic_;
  at::Tensor importance_, upper_, order_, current_;
  std::vector<double> losses_;
};

double refine(const at::Tensor& target, const Factor& factor, const Mask& mask,
              grid::QuantizedMatrix& matrix, const GptqOptions& options) {
  const at::Tensor hessian = factor.damped.to(at::kCPU, at::kFloat).contiguous();
  kernels::RefineProblem problem;
  problem.grid = matrix.grid.get();
  problem.rows = matrix.rows;
  problem.columns = matrix.columns;
  problem.target = target.const_data_ptr<float>();
  problem.target_stride = matrix.columns;
  problem.hessian = hessian.const_data_ptr<float>();
  problem.hessian_stride = matrix.columns;
  problem.codes = matrix.codes.data();
  problem.codes_stride = matrix.columns;
  problem.parameters = matrix.parameters.data();
  problem.parameters_stride = matrix.blocks_per_row() * matrix.grid->spec().parameter_bytes;
  problem.mask = mask.data();
  problem.mask_stride = mask.stride();
  return kernels::refine(problem, {.sweeps = options.sweeps, .refits = options.refits})
      .objective_after;
}

// The sweep where the target lies, or on the CPU where there is no kernel for it.
void sweep_columns(const at::Tensor& goal, const at::Tensor& importance, const Factor& factor,
                   const Mask& mask, bool dynamic, GptqResult& result) {
  const kernels::SweepKernel* kernel = kernels::sweep_kernel(kernels::Device::kCpu);
  if (!goal.is_cpu()) {
    const kernels::CudaModule& module = kernels::cuda_module();
    TORCH_CHECK(module.table != nullptr || !module.present, module.problem);
    const auto* const cuda = kernels::sweep_kernel(kernels::Device::kCuda);
    if (cuda != nullptr && mask.data() == nullptr) {
      result.sweep_kernel = cuda->name;
      result.sweep_objective =
          sweep_on_device(goal, importance, factor, result.matrix, dynamic, *module.table);
      return;
    }
    result.fallback =
        cuda != nullptr ? "sweeps with a mask run on the CPU" : kernels::cuda_problem();
  }
  Factor here = factor;
  here.upper = factor.upper.cpu();
  here.order = factor.order.cpu();
  result.sweep_kernel = kernel->name;
  result.sweep_objective =
      ColumnSweep(goal.cpu(), importance, here, mask, result.matrix, dynamic).run();
}

// The parameters of all blocks from given weights [R, in].
void fit_all(const at::Tensor& weights, const at::Tensor& importance, const Mask& mask, bool search,
             grid::QuantizedMatrix& matrix) {
  kernels::FitBlocks blocks;
  blocks.grid = matrix.grid.get();
  blocks.rows = matrix.rows;
  blocks.width = matrix.columns;
  blocks.weights = weights.const_data_ptr<float>();
  blocks.weights_stride = matrix.columns;
  blocks.importance = importance.defined() ? importance.const_data_ptr<float>() : nullptr;
  blocks.search = search;
  blocks.parameters = matrix.parameters.data();
  blocks.parameters_stride = matrix.blocks_per_row() * matrix.grid->spec().parameter_bytes;
  blocks.mask = mask.data();
  blocks.mask_stride = mask.stride();
  kernels::fit_blocks(blocks);
}

}  // namespace

double refine_codes(const at::Tensor& target, const Factor& factor, const GptqOptions& options,
                    grid::QuantizedMatrix& matrix) {
  return refine(target.contiguous(), factor, {}, matrix, options);
}

GptqResult gptq(const at::Tensor& target, const at::Tensor& importance, const Factor& factor,
                std::shared_ptr<const grid::Grid> grid, const GptqOptions& options,
                const at::Tensor& mask) {
  TORCH_CHECK(target.dim() == 2 && target.is_contiguous() &&
                  (target.is_cpu() || target.is_cuda()) && target.scalar_type() == at::kFloat,
              "the target must be a contiguous fp32 matrix on the CPU or a CUDA device");
  TORCH_CHECK(factor.upper.size(0) == target.size(1) && importance.numel() == target.size(1),
              "H is [", factor.upper.size(0), "], the matrix has ", target.size(1), " columns");
  at::Tensor goal = target;
  if (options.zero_dead && !factor.dead.empty()) {
    goal = target.clone();
    goal.index_fill_(1, at::tensor(factor.dead, at::kLong).to(goal.device()), 0);
  }
  const at::Tensor weights_of_columns = importance.to(at::kCPU, at::kFloat).contiguous();
  const at::Tensor goal_here = goal.cpu();
  GptqResult result;
  result.matrix = grid::empty_matrix(std::move(grid), goal.size(0), goal.size(1));
  grid::QuantizedMatrix& matrix = result.matrix;
  const Mask kept = checked_mask(mask, goal_here, matrix.grid->spec());
  if (!options.dynamic_scales) fit_all(goal_here, weights_of_columns, kept, true, matrix);
  sweep_columns(goal, weights_of_columns, factor, kept, options.dynamic_scales, result);
  result.objective = result.sweep_objective;
  if (options.sweeps > 0 || options.refits > 0)
    result.objective = refine(goal_here, factor, kept, matrix, options);
  return result;
}

absl::StatusOr<grid::QuantizedMatrix> round_to_nearest(const at::Tensor& weights,
                                                       const at::Tensor& importance,
                                                       std::shared_ptr<const grid::Grid> grid,
                                                       grid::ScaleSearch search,
                                                       const at::Tensor& mask) {
  at::Tensor w = weights.to(at::kFloat).contiguous();
  const at::Tensor columns =
      importance.defined() ? importance.to(at::kFloat).contiguous() : at::Tensor();
  const Mask kept = checked_mask(mask, w, grid->spec());
  // Zeros where pinned: their codes are then those nearest to zero.
  if (mask.defined()) w = w.masked_fill(kept.values == 0, 0);
  FRUGAL_ASSIGN_OR_RETURN(grid::QuantizedMatrix matrix,
                          grid::round_to_nearest(std::move(grid), w.const_data_ptr<float>(),
                                                 w.size(0), w.size(1), floats(columns), search));
  if (!mask.defined()) return matrix;
  fit_all(w, columns, kept, search != grid::ScaleSearch::kNone,
          matrix);  // once more, without the pinned weights
  for (int64_t row = 0; row < matrix.rows; ++row) {
    for (int64_t b = 0; b < matrix.blocks_per_row(); ++b) {
      const int64_t at = row * matrix.columns + b * matrix.grid->spec().block_columns;
      matrix.grid->encode(w.const_data_ptr<float>() + at, matrix.block_parameters(row, b),
                          matrix.codes.data() + at);
    }
  }
  return matrix;
}

absl::StatusOr<grid::QuantizedMatrix> round_to_nearest(const at::Tensor& weights,
                                                       const at::Tensor& importance,
                                                       std::shared_ptr<const grid::Grid> grid,
                                                       bool search, const at::Tensor& mask) {
  return round_to_nearest(weights, importance, std::move(grid),
                          search ? grid::ScaleSearch::kFull : grid::ScaleSearch::kNone, mask);
}

at::Tensor decode(const grid::QuantizedMatrix& matrix) {
  at::Tensor weights = at::empty({matrix.rows, matrix.columns}, at::kFloat);
  grid::decode_matrix(matrix, weights.data_ptr<float>());
  return weights;
}

grid::QuantizedMatrix take_rows(const grid::QuantizedMatrix& matrix, int64_t begin, int64_t count) {
  TORCH_CHECK(begin >= 0 && count >= 0 && begin + count <= matrix.rows, "rows ", begin, " + ",
              count, " of ", matrix.rows);
  grid::QuantizedMatrix part = grid::empty_matrix(matrix.grid, count, matrix.columns);
  const int64_t parameters = matrix.blocks_per_row() * matrix.grid->spec().parameter_bytes;
  std::copy_n(matrix.codes.begin() + begin * matrix.columns, count * matrix.columns,
              part.codes.begin());
  std::copy_n(matrix.parameters.begin() + begin * parameters, count * parameters,
              part.parameters.begin());
  return part;
}

double OutputError::relative() const {
  if (reference > 0) return squared / reference;
  return squared == 0 ? 0.0 : std::numeric_limits<double>::infinity();
}

OutputError output_error(const at::Tensor& changed, const at::Tensor& weights,
                         const at::Tensor& hessian) {
  const at::Tensor w = weights.to(at::kDouble);
  const at::Tensor difference = changed.to(at::kDouble) - w;
  return {tensor::row_products(difference, hessian, difference).sum().item<double>(),
          tensor::row_products(w, hessian, w).sum().item<double>()};
}

}  // namespace frugal::layerwise
