#include "model/integer_linear.h"

#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <algorithm>
#include <limits>

#include "tensor/aten.h"
#include "tensor/guard.h"

namespace frugal::model {
namespace {

constexpr double kLargestCode = 127;
constexpr int64_t kExactColumns = 1024;
constexpr int kCodeOrigin = 128;  // grid codes are 0..255

// [tokens, in] x [in, R], every element an integer that fp32 or fp64 holds.
at::Tensor exact_product(const at::Tensor& x, const at::Tensor& codes) {
  const int64_t width = x.size(1);
  at::Tensor sum;
  for (int64_t begin = 0; begin < width; begin += kExactColumns) {
    const int64_t count = std::min(kExactColumns, width - begin);
    const at::Tensor part =
        at::mm(x.narrow(1, begin, count), codes.narrow(1, begin, count).to(at::kFloat).t());
    if (count == width) return part;
    sum = sum.defined() ? sum.add_(part) : part.to(at::kDouble);
  }
  return sum;
}

}  // namespace

absl::StatusOr<IntegerMatrix> integer_matrix(const grid::QuantizedMatrix& matrix) {
  const grid::GridSpec& spec = matrix.grid->spec();
  if (spec.name != "int8:row") {
    return base::invalid_argument("integer products need weights on grid int8:row, found ",
                                  spec.name);
  }
  return tensor::guarded("integer weights", [&] {
    IntegerMatrix result{at::empty({matrix.rows, matrix.columns}, at::kChar),
                         at::empty({matrix.rows}, at::kFloat)};
    int8_t* codes = result.codes.mutable_data_ptr<int8_t>();
    for (size_t i = 0; i < matrix.codes.size(); ++i)
      codes[i] = static_cast<int8_t>(static_cast<int>(matrix.codes[i]) - kCodeOrigin);
    float* scales = result.scales.mutable_data_ptr<float>();
    for (int64_t row = 0; row < matrix.rows; ++row) {
      float offset = 0;
      matrix.grid->expand(matrix.block_parameters(row, 0), scales + row, &offset);
    }
    return result;
  });
}

IntegerRows round_rows(const at::Tensor& x) {
  TORCH_CHECK(
      !(at::GradMode::is_enabled() && x.requires_grad()),
      "rounding activations to int8 has no gradient; train the model before it is quantized");
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor scales = wide.abs()
                                .amax(-1, /*keepdim=*/true)
                                .div_(kLargestCode)
                                .clamp_min_(std::numeric_limits<float>::min());
  // |x / s| <= 127 (1 + 2^-23): no clamping is needed.
  return {(wide / scales).round_(), scales};
}

at::Tensor restore_rows(const IntegerRows& rows) { return rows.codes * rows.scales; }

at::Tensor integer_linear(const IntegerRows& x, const IntegerMatrix& weights) {
  const c10::impl::ExcludeDispatchKeyGuard exact(c10::autocast_dispatch_keyset);
  TORCH_CHECK(x.codes.size(-1) == weights.codes.size(1), "inputs of ", x.codes.size(-1),
              " channels meet weights of ", weights.codes.size(1));
  const at::Tensor sums = exact_product(x.codes.reshape({-1, x.codes.size(-1)}), weights.codes);
  const at::Tensor scaled =
      sums.to(at::kFloat).mul_(x.scales.reshape({-1, 1})).mul_(weights.scales);
  std::vector<int64_t> shape = x.codes.sizes().vec();
  shape.back() = weights.codes.size(0);
  return scaled.view(shape);
}

}  // namespace frugal::model
