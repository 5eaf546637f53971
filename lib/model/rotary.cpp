#include "model/rotary.h"

#include <ATen/ATen.h>

#include <numbers>

namespace frugal::model {
namespace {

// Llama 3.1: long waves are slowed by `factor`, short ones kept, those between blended linearly in context/wavelength.
at::Tensor stretch(const at::Tensor& frequencies, const format::RopeScaling& scaling) {
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

}  // namespace

at::Tensor rotary_frequencies(const format::ModelConfig& config) {
  const double size = static_cast<double>(config.head_size);
  const at::Tensor exponents = at::arange(0, config.head_size, 2, at::kLong).to(at::kFloat) / size;
  const at::Tensor frequencies = 1.0 / at::pow(at::Scalar(config.rope_theta), exponents);
  return config.rope_scaling ? stretch(frequencies, *config.rope_scaling) : frequencies;
}

RotaryTables rotary_tables(const at::Tensor& frequencies, const at::Tensor& positions) {
  const at::Tensor half = positions.to(at::kFloat).unsqueeze(-1) * frequencies;
  const at::Tensor angles = at::cat({half, half}, -1).unsqueeze(1);
  return {angles.cos(), angles.sin()};
}

at::Tensor rotate(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine) {
  const int64_t half = x.size(-1) / 2;
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor turned = at::cat({-wide.narrow(-1, half, half), wide.narrow(-1, 0, half)}, -1);
  return at::addcmul(wide * cosine, turned, sine).to(x.scalar_type());
}

}  // namespace frugal::model
