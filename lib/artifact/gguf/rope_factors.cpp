#include "artifact/gguf/rope_factors.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

namespace frugal::artifact {
namespace {

using architecture::RopeScaling;

// Writers compute frequencies in fp32, of which powers, a quotient and a blend lose a few of the
// last bits: 1e-7 each. Scalings that differ in a bound differ by percents.
constexpr double kTolerance = 1e-4;

double wavelength(double theta, size_t pair, size_t pairs) {
  return 2 * std::numbers::pi *
         std::pow(theta, static_cast<double>(pair) / static_cast<double>(pairs));
}

bool gives(const RopeScaling& scaling, double theta, std::span<const float> factors) {
  const std::vector<double> made =
      llama3_factors(scaling, theta, static_cast<int64_t>(2 * factors.size()));
  for (size_t i = 0; i < made.size(); ++i) {
    if (!(std::fabs(made[i] - static_cast<double>(factors[i])) <= kTolerance * made[i]))
      return false;
  }
  return true;
}

double rounded(double value, double steps) { return std::round(value * steps) / steps; }

// The bounds from two blended factors: 1 / f is a line in the number of turns.
std::optional<RopeScaling> solved(std::span<const float> factors, double theta, double factor) {
  double turns[2] = {}, smooth[2] = {};
  size_t found = 0;
  for (size_t i = 0; i < factors.size() && found < 2; ++i) {
    const double f = static_cast<double>(factors[i]);
    if (f < 1.01 || f > 0.99 * factor) continue;
    turns[found] = 1 / wavelength(theta, i, factors.size());
    smooth[found++] = (1 / f - 1 / factor) / (1 - 1 / factor);
  }
  if (found < 2) return std::nullopt;
  const double slope = (smooth[1] - smooth[0]) / (turns[1] - turns[0]);
  const double low = slope * turns[0] - smooth[0];  // low / (high - low)
  if (!(slope > 0) || !(low > 0)) return std::nullopt;
  const double high = 1 + 1 / low;  // with a lower bound of 1
  return RopeScaling{
      .factor = factor,
      .low_freq_factor = 1,
      .high_freq_factor = rounded(high, 100),
      .original_max_position_embeddings = std::llround(slope * (rounded(high, 100) - 1))};
}

}  // namespace

std::vector<double> llama3_factors(const RopeScaling& scaling, double theta, int64_t head_size) {
  const auto pairs = static_cast<size_t>(head_size / 2);
  const auto context = static_cast<double>(scaling.original_max_position_embeddings);
  std::vector<double> factors;
  for (size_t i = 0; i < pairs; ++i) {
    const double length = wavelength(theta, i, pairs);
    if (length > context / scaling.low_freq_factor) {
      factors.push_back(scaling.factor);
    } else if (length < context / scaling.high_freq_factor) {
      factors.push_back(1);
    } else {
      const double smooth = (context / length - scaling.low_freq_factor) /
                            (scaling.high_freq_factor - scaling.low_freq_factor);
      factors.push_back(1 / ((1 - smooth) / scaling.factor + smooth));
    }
  }
  return factors;
}

absl::StatusOr<RopeScaling> scaling_of_factors(std::span<const float> factors, double theta) {
  const double largest =
      factors.empty() ? 0 : static_cast<double>(*std::max_element(factors.begin(), factors.end()));
  const double factor = std::fabs(rounded(largest, 1000) - largest) < 1e-5 * largest
                            ? rounded(largest, 1000)
                            : largest;
  if (factor > 1 && std::isfinite(factor)) {
    constexpr int64_t kUsual = 8192, kShortest = 16, kLongest = int64_t{1} << 20;
    std::vector<int64_t> contexts = {kUsual};
    for (int64_t context = kShortest; context <= kLongest; context *= 2)
      contexts.push_back(context);
    for (const int64_t context : contexts) {
      const RopeScaling usual{.factor = factor, .original_max_position_embeddings = context};
      if (gives(usual, theta, factors)) return usual;
    }
    if (const auto scaling = solved(factors, theta, factor);
        scaling && scaling->original_max_position_embeddings > 0 && gives(*scaling, theta, factors))
      return *scaling;
  }
  return base::unimplemented(
      "its frequency factors are not those of Llama 3's rotary scaling (1 for "
      "short waves, one factor for long ones, blended between)");
}

}  // namespace frugal::artifact
