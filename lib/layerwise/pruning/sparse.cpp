#include "layerwise/pruning/sparse.h"

#include <numeric>
#include <vector>

#include "kernels/mask_sweep.h"
#include "tensor/aten.h"
#include "tensor/tiles.h"

namespace frugal::layerwise {
namespace {

void check_matrix(const at::Tensor& target, const Factor& factor) {
  TORCH_CHECK(target.dim() == 2 && target.is_contiguous() && target.is_cpu() &&
                  target.scalar_type() == at::kFloat,
              "the target must be a contiguous fp32 matrix on the CPU");
  TORCH_CHECK(factor.damped.size(0) == target.size(1), "H is [", factor.damped.size(0),
              "], the matrix has ", target.size(1), " columns");
}

// One matrix on its way through the sweep.
class Sweep {
 public:
  Sweep(const at::Tensor& target, const Factor& factor, const Pattern& pattern, PatternScope scope)
      : pattern_(pattern),
        scope_(scope),
        upper_(factor.upper.to(at::kFloat)),
        squares_(upper_.diagonal().square()),
        current_(target.clone()),
        mask_(at::ones(target.sizes(), at::kByte)),
        losses_(static_cast<size_t>(target.size(0)), 0.0) {}

  SparseGptResult run(int64_t width) {
    const int64_t columns = current_.size(1);
    for (int64_t begin = 0; begin < columns; begin += width)
      window(begin, std::min(width, columns - begin));
    return {current_, mask_, std::accumulate(losses_.begin(), losses_.end(), 0.0)};
  }

 private:
  void window(int64_t begin, int64_t width) {
    const int64_t end = begin + width, behind = current_.size(1) - end;
    if (pattern_.group == 0) choose(begin, width);
    const at::Tensor errors = at::empty({current_.size(0), width}, at::kFloat);
    kernels::mask_sweep(
        {.rows = current_.size(0),
         .width = width,
         .weights = current_.data_ptr<float>() + begin,
         .weights_stride = current_.stride(0),
         .factor = upper_.const_data_ptr<float>() + begin * upper_.stride(0) + begin,
         .factor_stride = upper_.stride(0),
         .mask = mask_.data_ptr<uint8_t>() + begin,
         .mask_stride = mask_.stride(0),
         .group = pattern_.group,
         .kept = pattern_.kept,
         .errors = errors.data_ptr<float>(),
         .errors_stride = width,
         .row_loss = losses_.data()});
    if (behind == 0) return;
    tensor::subtract_product(current_.narrow(1, end, behind), errors,
                             upper_.narrow(0, begin, width).narrow(1, end, behind));
  }

  // This block's share of the exact count, from the weights as they are now.
  void choose(int64_t begin, int64_t width) {
    const int64_t unit = scope_ == PatternScope::kRow ? 1 : current_.size(0);
    const int64_t zeros =
        zeros_before(pattern_, unit * (begin + width)) - zeros_before(pattern_, unit * begin);
    const at::Tensor scores =
        current_.narrow(1, begin, width).square().div_(squares_.narrow(0, begin, width));
    const Pattern exact{.fraction = static_cast<double>(zeros) / static_cast<double>(unit * width)};
    mask_.narrow(1, begin, width)
        .copy_(choose_mask(scores, exact,
                           scope_ == PatternScope::kRow ? scope_ : PatternScope::kMatrix));
  }

  Pattern pattern_;
  PatternScope scope_;
  at::Tensor upper_, squares_, current_, mask_;
  std::vector<double> losses_;
};

}  // namespace

at::Tensor weight_scores(const at::Tensor& target, WeightScore score, const at::Tensor& mean_square,
                         const Factor* factor) {
  const at::Tensor magnitude = target.abs();
  if (score == WeightScore::kMagnitude) return magnitude;
  const int64_t columns = target.size(1);
  if (score == WeightScore::kWanda) {
    TORCH_CHECK(mean_square.defined() && mean_square.numel() == columns, "diag H of ", columns,
                " columns expected");
    return magnitude.mul_(mean_square.sqrt().to(at::kFloat));
  }
  TORCH_CHECK(factor != nullptr && factor->upper.size(0) == columns, "H of ", columns,
              " columns expected");
  return magnitude.div_(inverse_diagonal(*factor).sqrt_().to(magnitude.device(), at::kFloat));
}

at::Tensor pattern_scores(const at::Tensor& target, const Pattern& pattern, WeightScore score,
                          const at::Tensor& mean_square, const Factor* factor) {
  if (pattern.of == PatternOf::kRows && score == WeightScore::kObs) {
    TORCH_CHECK(factor != nullptr && factor->damped.size(0) == target.size(1), "H of ",
                target.size(1), " columns expected");
    const at::Tensor hessian = factor->damped.to(target.device());  // a factor may lie on a GPU
    return tensor::row_products(target, hessian, target).unsqueeze(1).to(at::kFloat);
  }
  const at::Tensor scores = weight_scores(target, score, mean_square, factor);
  if (pattern.of == PatternOf::kWeights) return scores;
  const int64_t over = pattern.of == PatternOf::kRows ? 1 : 0;
  return scores.to(at::kDouble).square().sum(over, /*keepdim=*/true).to(at::kFloat);
}

SparseGptResult sparsegpt(const at::Tensor& target, const Factor& factor, const Pattern& pattern,
                          const SparseGptOptions& options) {
  check_matrix(target, factor);
  const int64_t columns = target.size(1);
  TORCH_CHECK(factor.order.equal(at::arange(columns, at::kLong)),
              "SparseGPT's sweep goes through the columns in their natural order");
  TORCH_CHECK(options.scope != PatternScope::kMatrix && options.mask_block > 0,
              "SparseGPT chooses its mask block by block");
  TORCH_CHECK(pattern.of == PatternOf::kWeights,
              "SparseGPT's sweep chooses single weights, not whole rows or columns");
  TORCH_CHECK(pattern.group == 0 || columns % pattern.group == 0, columns,
              " columns are no multiple of ", pattern.group);
  TORCH_CHECK_VALUE(at::isfinite(target).all().item<bool>(), "the weights hold a NaN or infinity");
  int64_t width = options.mask_block;
  if (pattern.group > 0) width = std::max<int64_t>(1, width / pattern.group) * pattern.group;
  return Sweep(target, factor, pattern, options.scope).run(width);
}

}  // namespace frugal::layerwise
