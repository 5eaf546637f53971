#include "model/rotary.h"

#include <cmath>
#include <complex>
#include <numbers>

#include "model/toy.h"

namespace frugal::model {
namespace {

at::Tensor frequencies_of(const architecture::ModelConfig& config) {
  const architecture::Attention& attention = config.layers.front().attention;
  return rotary_frequencies(attention.rope, attention.head_size);
}

TEST(Rotary, FrequenciesArePowersOfTheta) {
  const at::Tensor frequencies = frequencies_of(toy::config({{"rope_theta", 500000.0}}));
  ASSERT_EQ(frequencies.sizes(), at::IntArrayRef({4}));
  for (int64_t i = 0; i < 4; ++i) {
    const double expected = std::pow(500000.0, -2.0 * static_cast<double>(i) / 8.0);
    EXPECT_NEAR(frequencies[i].item<double>(), expected, 4e-7 * expected);  // a few fp32 roundings
  }
}

// Llama 3.1's rule written for one frequency, as in the model's own repository (rope scaling of
// apply_scaling).
double scaled_by_hand(double frequency, double factor, double low, double high, double context) {
  const double wavelength = 2.0 * std::numbers::pi / frequency;
  if (wavelength < context / high) return frequency;
  if (wavelength > context / low) return frequency / factor;
  const double smooth = (context / wavelength - low) / (high - low);
  return (1.0 - smooth) * frequency / factor + smooth * frequency;
}

TEST(Rotary, Llama3ScalingEqualsTheFormula) {
  const base::Json scaling = {{"rope_type", "llama3"},
                              {"factor", 32.0},
                              {"low_freq_factor", 1.0},
                              {"high_freq_factor", 4.0},
                              {"original_max_position_embeddings", 8192}};
  const base::Json shape = {{"hidden_size", 256}, {"rope_theta", 500000.0}};
  base::Json scaled_shape = shape;
  scaled_shape["rope_scaling"] = scaling;
  const architecture::ModelConfig config = toy::config(scaled_shape);
  ASSERT_TRUE(config.layers.front().attention.rope.scaling.has_value());
  const at::Tensor plain = frequencies_of(toy::config(shape));
  const at::Tensor scaled = frequencies_of(config);
  int64_t kept = 0, slowed = 0, blended = 0;
  for (int64_t i = 0; i < scaled.size(0); ++i) {
    const double frequency = plain[i].item<double>();
    const double expected = scaled_by_hand(frequency, 32.0, 1.0, 4.0, 8192.0);
    EXPECT_NEAR(scaled[i].item<double>(), expected, 1e-6 * frequency) << i;
    expected == frequency ? ++kept : (expected == frequency / 32.0 ? ++slowed : ++blended);
  }
  EXPECT_GT(kept, 0);
  EXPECT_GT(slowed, 0);
  EXPECT_GT(blended, 0);
}

TEST(Rotary, TurnsPairsAsComplexNumbers) {
  const at::Tensor frequencies = frequencies_of(toy::config());
  const at::Tensor positions = at::arange(5, at::kLong).mul(7).unsqueeze(0);
  const RotaryTables tables = rotary_tables(frequencies, positions);
  const at::Tensor x = toy::ids(10, 8).to(at::kFloat).view({1, 2, 5, 8}) / 10.0;
  const at::Tensor y = rotate(x, tables.cosine, tables.sine);
  for (int64_t head = 0; head < 2; ++head) {
    for (int64_t t = 0; t < 5; ++t) {
      for (int64_t i = 0; i < 4; ++i) {
        const std::complex<double> before(x[0][head][t][i].item<double>(),
                                          x[0][head][t][i + 4].item<double>());
        const double angle = 7.0 * static_cast<double>(t) * frequencies[i].item<double>();
        const std::complex<double> after = before * std::polar(1.0, angle);
        // values below 4, angles below 28 rounded to fp32: 4 * 28 * 6e-8
        EXPECT_NEAR(y[0][head][t][i].item<double>(), after.real(), 1e-5);
        EXPECT_NEAR(y[0][head][t][i + 4].item<double>(), after.imag(), 1e-5);
      }
    }
  }
}

TEST(Rotary, ProductsDependOnDistanceOnly) {
  const at::Tensor frequencies = frequencies_of(toy::config());
  const at::Tensor q = toy::ids(1, 8, "q").to(at::kFloat).view({1, 1, 1, 8}) / 10.0;
  const at::Tensor k = toy::ids(1, 8, "k").to(at::kFloat).view({1, 1, 1, 8}) / 10.0;
  const auto turned = [&](const at::Tensor& x, int64_t position) {
    const RotaryTables tables = rotary_tables(frequencies, at::full({1, 1}, position, at::kLong));
    return rotate(x, tables.cosine, tables.sine);
  };
  const double near = (turned(q, 9) * turned(k, 4)).sum().item<double>();
  const double far = (turned(q, 109) * turned(k, 104)).sum().item<double>();
  EXPECT_NEAR(near, far, 1e-3);  // products up to 100, angles up to 109: 100 * 109 * 6e-8
  EXPECT_GT(std::abs(near - (q * k).sum().item<double>()), 1e-2);
}

TEST(Rotary, KeepsTheTypeOfItsInput) {
  const RotaryTables tables =
      rotary_tables(frequencies_of(toy::config()), at::arange(3, at::kLong).unsqueeze(0));
  const at::Tensor x = at::ones({1, 2, 3, 8}, at::kBFloat16);
  const at::Tensor y = rotate(x, tables.cosine, tables.sine);
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(y.equal(rotate(x.to(at::kFloat), tables.cosine, tables.sine).to(at::kBFloat16)));
}

}  // namespace
}  // namespace frugal::model
