#include "model/rotary.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <numbers>

#include "model/row_kernels.h"
#include "tensor/aten.h"

namespace frugal::model {
namespace {

// Llama 3.1: long waves are slowed by `factor`, short ones kept, those between blended linearly in
// context/wavelength.
at::Tensor stretch(const at::Tensor& frequencies, const architecture::RopeScaling& scaling) {
  const double context = static_cast<double>(scaling.original_max_position_embeddings);
  const at::Tensor wavelengths = (2.0 * std::numbers::pi) / frequencies;
  const at::Tensor slowed = frequencies / scaling.factor;
  const at::Tensor smooth = (context / wavelengths - scaling.low_freq_factor) /
                            (scaling.high_freq_factor - scaling.low_freq_factor);
  const at::Tensor blended = (1.0 - smooth) * slowed + smooth * frequencies;
  const at::Tensor is_long = wavelengths > context / scaling.low_freq_factor;
  const at::Tensor is_short = wavelengths < context / scaling.high_freq_factor;
  return at::where(is_long, slowed, at::where(is_short, frequencies, blended));
}

// The definition in ATen operators, for every device.
at::Tensor composed(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine) {
  const int64_t half = x.size(-1) / 2;
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor turned = at::cat({-wide.narrow(-1, half, half), wide.narrow(-1, 0, half)}, -1);
  return at::addcmul(wide * cosine, turned, sine).to(x.scalar_type());
}

// x [B, heads, T, D] turned forth (direction 1) or back (-1). Places are walked in memory order [B,
// T, heads, D], which is that of the projections.
at::Tensor turn(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine,
                float direction) {
  const at::Tensor rows = x.transpose(1, 2).to(at::kFloat).contiguous();
  const int64_t places = rows.size(0) * rows.size(1), length = rows.size(1);
  const int64_t heads = rows.size(2), size = rows.size(3);
  const bool shared = cosine.size(0) == 1;  // one table for every row of the batch
  at::Tensor result = at::empty_like(rows);
  const float *from = rows.const_data_ptr<float>(), *cosines = cosine.const_data_ptr<float>(),
              *sines = sine.const_data_ptr<float>();
  float* to = result.mutable_data_ptr<float>();
  at::parallel_for(0, places, 64, [&](int64_t begin, int64_t end) {
    for (int64_t place = begin; place < end; ++place) {
      const int64_t table = (shared ? place % length : place) * size;
      rotate_heads(from + place * heads * size, cosines + table, sines + table, direction, heads,
                   size / 2, to + place * heads * size);
    }
  });
  return result.to(x.scalar_type()).transpose(1, 2);
}

// A rotation's gradient is the rotation back.
class Rotation : public torch::autograd::Function<Rotation> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& cosine, const at::Tensor& sine) {
    context->save_for_backward({cosine, sine});
    return turn(x, cosine, sine, 1.0F);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list upstream) {
    const torch::autograd::variable_list tables = context->get_saved_variables();
    return {turn(upstream.at(0), tables[0], tables[1], -1.0F), {}, {}};
  }
};

}  // namespace

at::Tensor rotary_frequencies(const architecture::Rope& rope, int64_t head_size) {
  const double size = static_cast<double>(head_size);
  const at::Tensor exponents = at::arange(0, head_size, 2, at::kLong).to(at::kFloat) / size;
  const at::Tensor frequencies = 1.0 / at::pow(at::Scalar(rope.theta), exponents);
  if (!rope.scaling) return frequencies;
  if (rope.scaling->kind == architecture::RopeScaling::Kind::kLinear)
    return frequencies / rope.scaling->factor;
  return stretch(frequencies, *rope.scaling);
}

RotaryTables rotary_tables(const at::Tensor& frequencies, const at::Tensor& positions) {
  const at::Tensor half = positions.to(at::kFloat).unsqueeze(-1) * frequencies;
  const at::Tensor angles = at::cat({half, half}, -1).unsqueeze(1);
  return {angles.cos(), angles.sin()};
}

at::Tensor rotate(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine) {
  const bool rows_fit = x.is_cpu() && cosine.is_contiguous() && sine.is_contiguous() &&
                        cosine.scalar_type() == at::kFloat;
  return rows_fit ? Rotation::apply(x, cosine, sine) : composed(x, cosine, sine);
}

}  // namespace frugal::model
