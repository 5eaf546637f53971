#include "model/rotary.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "model/row_kernels.h"
#include "tensor/aten.h"

namespace frugal::model {
namespace {

using architecture::RopeScaling;

// Llama 3.1: long waves are slowed by `factor`, short ones kept, those between blended linearly in
// context/wavelength.
at::Tensor stretch(const at::Tensor& frequencies, const RopeScaling& scaling) {
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

// The pair of channels that turns `turns` times within the first context (Peng et al. 2024, section
// 3.2).
double pair_of_turns(double turns, double channels, const architecture::Rope& rope) {
  const double context = static_cast<double>(rope.scaling->original_max_position_embeddings);
  return channels * std::log(context / (turns * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(rope.theta));
}

// Pairs that turn often keep their frequency, those that turn seldom are slowed by the factor,
// those between blended linearly in their number. `waves` [R/2]: theta^(2i/R).
at::Tensor yarn(const at::Tensor& waves, const architecture::Rope& rope) {
  const RopeScaling& scaling = *rope.scaling;
  const double channels = 2.0 * static_cast<double>(waves.numel());
  double low = pair_of_turns(scaling.beta_fast, channels, rope);
  double high = pair_of_turns(scaling.beta_slow, channels, rope);
  if (scaling.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, channels - 1.0);
  if (low == high) high += 0.001;  // as transformers: no division by zero
  const at::Tensor slowed_share =
      ((at::arange(waves.numel(), at::kFloat) - low) / (high - low)).clamp(0, 1);
  const at::Tensor kept_share = 1.0 - slowed_share;
  return 1.0 / (scaling.factor * waves) * (1.0 - kept_share) + 1.0 / waves * kept_share;
}

// The definition in ATen operators, for every device.
at::Tensor composed(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine) {
  const int64_t half = x.size(-1) / 2;
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor turned =
      tensor::concatenate({-wide.narrow(-1, half, half), wide.narrow(-1, 0, half)}, -1);
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

bool depends_on_length(const architecture::Rope& rope) {
  return rope.scaling && rope.scaling->kind == RopeScaling::Kind::kLongRope;
}

double attention_factor(const architecture::Rope& rope) {
  if (!rope.scaling) return 1.0;
  const bool has_one = rope.scaling->kind == RopeScaling::Kind::kYarn ||
                       rope.scaling->kind == RopeScaling::Kind::kLongRope;
  return has_one ? rope.scaling->attention_factor : 1.0;
}

at::Tensor rotary_frequencies(const architecture::Rope& rope, int64_t head_size, bool beyond) {
  const int64_t channels = rope.turned(head_size);
  const at::Tensor exponents =
      at::arange(0, channels, 2, at::kLong).to(at::kFloat) / static_cast<double>(channels);
  const at::Tensor waves = at::pow(at::Scalar(rope.theta), exponents);
  if (!rope.scaling) return 1.0 / waves;
  switch (rope.scaling->kind) {
    case RopeScaling::Kind::kLinear:
      return 1.0 / waves / rope.scaling->factor;
    case RopeScaling::Kind::kLlama3:
      return stretch(1.0 / waves, *rope.scaling);
    case RopeScaling::Kind::kYarn:
      return yarn(waves, rope);
    case RopeScaling::Kind::kLongRope:
      break;
  }
  const std::vector<double>& factors =
      beyond ? rope.scaling->long_factors : rope.scaling->short_factors;
  return 1.0 / (at::tensor(factors, at::kDouble).to(at::kFloat) * waves);
}

RotaryTables rotary_tables(const at::Tensor& frequencies, const at::Tensor& positions,
                           double factor) {
  const at::Tensor half = positions.to(at::kFloat).unsqueeze(-1) * frequencies;
  const at::Tensor angles = tensor::concatenate({half, half}, -1).unsqueeze(1);
  if (factor == 1.0) return {angles.cos(), angles.sin()};
  return {angles.cos() * factor, angles.sin() * factor};
}

at::Tensor rotate(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine) {
  const int64_t channels = cosine.size(-1), rest = x.size(-1) - channels;
  if (channels == 0) return x;
  if (rest > 0) {
    return tensor::concatenate(
        {rotate(x.narrow(-1, 0, channels), cosine, sine), x.narrow(-1, channels, rest)}, -1);
  }
  const bool rows_fit = x.is_cpu() && cosine.is_contiguous() && sine.is_contiguous() &&
                        cosine.scalar_type() == at::kFloat;
  return rows_fit ? Rotation::apply(x, cosine, sine) : composed(x, cosine, sine);
}

}  // namespace frugal::model
