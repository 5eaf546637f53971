#include "model/rotary.h"

#include <algorithm>
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

// The paper's rule (Peng et al. 2024, section 3.2) written for one pair of channels.
TEST(Rotary, YarnEqualsTheFormula) {
  const architecture::ModelConfig config = toy::config(
      {{"hidden_size", 256},
       {"rope_scaling",
        {{"rope_type", "yarn"}, {"factor", 8.0}, {"original_max_position_embeddings", 64}}}});
  const architecture::Rope& rope = config.layers[0].attention.rope;
  const at::Tensor found = frequencies_of(config);
  const auto pair_of = [](double turns) {
    return 64.0 * std::log(64.0 / (turns * 2 * std::numbers::pi)) / (2 * std::log(10000.0));
  };
  const double low = std::max(std::floor(pair_of(32)), 0.0), high = std::ceil(pair_of(1));
  int64_t blended = 0;
  for (int64_t i = 0; i < 32; ++i) {
    const double plain = std::pow(10000.0, -2.0 * static_cast<double>(i) / 64.0);
    const double slowed = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    const double expected = plain / 8.0 * slowed + plain * (1 - slowed);
    EXPECT_NEAR(found[i].item<double>(), expected, 1e-6 * plain) << i;
    blended += slowed > 0 && slowed < 1 ? 1 : 0;
  }
  EXPECT_GT(blended, 0);
  EXPECT_DOUBLE_EQ(attention_factor(rope), 0.1 * std::log(8.0) + 1.0);
  EXPECT_FALSE(depends_on_length(rope));
}

// Only the first channels of a head turn, as a head of so many alone would; none at 0.
TEST(Rotary, AShareOfAHeadTurns) {
  const at::Tensor x = at::arange(2 * 3 * 4 * 8, at::kFloat).view({2, 3, 4, 8}) / 100;
  const at::Tensor positions = at::arange(4, at::kLong).unsqueeze(0);
  architecture::Rope rope{.theta = 100.0, .channels = 6, .scaling = {}};
  const RotaryTables tables = rotary_tables(rotary_frequencies(rope, 8), positions);
  ASSERT_EQ(tables.cosine.size(-1), 6);
  const at::Tensor turned = rotate(x, tables.cosine, tables.sine);
  rope.channels.reset();
  const RotaryTables whole = rotary_tables(rotary_frequencies(rope, 6), positions);
  EXPECT_TRUE(at::equal(turned.narrow(-1, 0, 6),
                        rotate(x.narrow(-1, 0, 6).contiguous(), whole.cosine, whole.sine)));
  EXPECT_TRUE(at::equal(turned.narrow(-1, 6, 2), x.narrow(-1, 6, 2)));
  rope.channels = 0;
  const RotaryTables none = rotary_tables(rotary_frequencies(rope, 8), positions);
  EXPECT_TRUE(at::equal(rotate(x, none.cosine, none.sine), x));
}

// A sequence that outgrows the first context over a cache must say so before: tokens that are there
// were turned by other frequencies.
TEST(Rotary, LongRopeAsksForTheLengthAhead) {
  const base::Json factors = {1.0, 2.0, 3.0, 4.0};
  const Decoder decoder = toy::decoder({{"rope_scaling",
                                         {{"rope_type", "longrope"},
                                          {"short_factor", {1.0, 1.0, 1.0, 1.0}},
                                          {"long_factor", factors},
                                          {"original_max_position_embeddings", 8}}}});
  const at::Tensor ids = toy::ids(1, 12);
  const at::Tensor at_once = decoder.logits({ids, {}});
  KeyValueCache unplanned;
  decoder.logits({ids.narrow(1, 0, 6), {}}, &unplanned);
  EXPECT_THROW(decoder.logits({ids.narrow(1, 6, 6), {}}, &unplanned), c10::Error);
  KeyValueCache planned;
  planned.planned_lengths = at::tensor({12}, at::kLong);
  const at::Tensor first = decoder.logits({ids.narrow(1, 0, 6), {}}, &planned);
  const at::Tensor second = decoder.logits({ids.narrow(1, 6, 6), {}}, &planned);
  EXPECT_LT(toy::largest_difference(tensor::concatenate({first, second}, 1), at_once),
            toy::kFp32Tolerance);
  // Below the limit the other set is used: the same tokens give other logits.
  const at::Tensor shorter = decoder.logits({ids.narrow(1, 0, 6), {}});
  EXPECT_GT(toy::largest_difference(shorter, first), 1e-3);
}

}  // namespace
}  // namespace frugal::model
