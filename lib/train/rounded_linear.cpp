#include "train/rounded_linear.h"

#include <torch/csrc/autograd/custom_function.h>

#include "model/products.h"
#include "tensor/aten.h"

namespace frugal::train {
namespace {

using model::Vectors;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor flat(const at::Tensor& x) { return x.reshape({-1, x.size(-1)}); }

struct RoundedLinear : torch::autograd::Function<RoundedLinear> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& weight) {
    context->save_for_backward({x, weight});
    std::vector<int64_t> shape = x.sizes().vec();
    shape.back() = weight.size(0);
    return vector_products(flat(x), Vectors::kRows, weight, Vectors::kRows,
                           model::Precision::kRounded)
        .view(shape);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1];
    const at::Tensor output = flat(gradients[0]);
    variable_list result(2);
    if (context->needs_input_grad(0)) {
      result[0] = vector_products(output, Vectors::kRows, weight, Vectors::kColumns,
                                  model::Precision::kRounded)
                      .view(x.sizes());
    }
    if (context->needs_input_grad(1)) {
      result[1] = vector_products(output, Vectors::kColumns, flat(x), Vectors::kColumns,
                                  model::Precision::kRounded);
    }
    return result;
  }
};

}  // namespace

at::Tensor rounded_linear(const at::Tensor& x, const at::Tensor& weight) {
  return RoundedLinear::apply(x, weight);
}

}  // namespace frugal::train
