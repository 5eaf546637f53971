#include "model/normalize.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "model/row_kernels.h"
#include "tensor/aten.h"

namespace frugal::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Rows whose weight gradients are summed first: fixed, so that sums do not depend on the number of
// threads.
constexpr int64_t kRowsPerBlock = 64;

// The definition in ATen operators, for every device and type.
at::Tensor composed(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor scale = wide.square().mean(-1, /*keepdim=*/true).add_(epsilon).rsqrt_();
  return (wide * scale * weight).to(x.scalar_type());
}

template <typename Body>
void for_row_blocks(int64_t rows, const Body& body) {
  const int64_t blocks = (rows + kRowsPerBlock - 1) / kRowsPerBlock;
  at::parallel_for(0, blocks, 1, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block) {
      const int64_t begin = block * kRowsPerBlock;
      body(block, begin, std::min(kRowsPerBlock, rows - begin));
    }
  });
}

class RowNorm : public torch::autograd::Function<RowNorm> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input,
                            const at::Tensor& weight, double epsilon) {
    const at::Tensor x = input.contiguous();
    const int64_t width = x.size(-1), rows = x.numel() / std::max<int64_t>(width, 1);
    at::Tensor y = at::empty_like(x), scale = at::empty({rows}, x.options());
    const float *from = x.const_data_ptr<float>(), *by = weight.const_data_ptr<float>();
    float *to = y.mutable_data_ptr<float>(), *scales = scale.mutable_data_ptr<float>();
    for_row_blocks(rows, [&](int64_t, int64_t begin, int64_t count) {
      normalize_rows(from + begin * width, by, static_cast<float>(epsilon), count, width,
                     to + begin * width, scales + begin);
    });
    context->save_for_backward({x, weight, scale});
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list upstream) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &scale = saved[2];
    const at::Tensor dy = upstream.at(0).to(at::kFloat).contiguous();
    const int64_t width = x.size(-1), rows = scale.size(0);
    at::Tensor dx = at::empty_like(x);
    at::Tensor dweight =
        at::zeros({(rows + kRowsPerBlock - 1) / kRowsPerBlock, width}, x.options());
    const float *from = x.const_data_ptr<float>(), *by = weight.const_data_ptr<float>(),
                *scales = scale.const_data_ptr<float>(), *gradient = dy.const_data_ptr<float>();
    float *to = dx.mutable_data_ptr<float>(), *sums = dweight.mutable_data_ptr<float>();
    for_row_blocks(rows, [&](int64_t block, int64_t begin, int64_t count) {
      normalize_rows_backward(from + begin * width, by, scales + begin, gradient + begin * width,
                              count, width, to + begin * width, sums + block * width);
    });
    return {dx, dweight.sum(0), {}};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  const bool rows_fit = x.is_cpu() && x.scalar_type() == at::kFloat &&
                        weight.scalar_type() == at::kFloat && weight.is_contiguous() &&
                        weight.numel() == x.size(-1);
  return rows_fit ? RowNorm::apply(x, weight, epsilon) : composed(x, weight, epsilon);
}

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double epsilon) {
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor centered = wide - wide.mean(-1, /*keepdim=*/true);
  return (rms_norm(centered, weight, epsilon) + bias).to(x.scalar_type());
}

}  // namespace frugal::model
