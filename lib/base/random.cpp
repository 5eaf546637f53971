#include "base/random.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

namespace frugal::base {
namespace {

using Wide = unsigned __int128;

constexpr Wide kMultiplier = (Wide{0x2360ED051FC65DA4} << 64) | Wide{0x4385DF649FCCF645};

Wide seeded_hash(std::string_view bytes, uint64_t seed) {
  const XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  return (Wide{hash.high64} << 64) | Wide{hash.low64};
}

// Coefficients of Wichura 1988, algorithm AS 241 (PPND16): numerators and denominators, highest
// power first.
constexpr double kCentralAbove[] = {2.5090809287301226727e+3, 3.3430575583588128105e+4,
                                    6.7265770927008700853e+4, 4.5921953931549871457e+4,
                                    1.3731693765509461125e+4, 1.9715909503065514427e+3,
                                    1.3314166789178437745e+2, 3.3871328727963666080e+0};
constexpr double kCentralBelow[] = {5.2264952788528545610e+3, 2.8729085735721942674e+4,
                                    3.9307895800092710610e+4, 2.1213794301586595867e+4,
                                    5.3941960214247511077e+3, 6.8718700749205790830e+2,
                                    4.2313330701600911252e+1, 1.0};
constexpr double kTailAbove[] = {7.74545014278341407640e-4, 2.27238449892691845833e-2,
                                 2.41780725177450611770e-1, 1.27045825245236838258e+0,
                                 3.64784832476320460504e+0, 5.76949722146069140550e+0,
                                 4.63033784615654529590e+0, 1.42343711074968357734e+0};
constexpr double kTailBelow[] = {1.05075007164441684324e-9, 5.47593808499534494600e-4,
                                 1.51986665636164571966e-2, 1.48103976427480074590e-1,
                                 6.89767334985100004550e-1, 1.67638483018380384940e+0,
                                 2.05319162663775882187e+0, 1.0};
constexpr double kFarAbove[] = {2.01033439929228813265e-7, 2.71155556874348757815e-5,
                                1.24266094738807843860e-3, 2.65321895265761230930e-2,
                                2.96560571828504891230e-1, 1.78482653991729133580e+0,
                                5.46378491116411436990e+0, 6.65790464350110377720e+0};
constexpr double kFarBelow[] = {2.04426310338993978564e-15, 1.42151175831644588870e-7,
                                1.84631831751005468180e-5,  7.86869131145613259100e-4,
                                1.48753612908506148525e-2,  1.36929880922735805310e-1,
                                5.99832206555887937690e-1,  1.0};

double polynomial(std::span<const double> coefficients, double x) {
  double value = 0;
  for (const double coefficient : coefficients) value = value * x + coefficient;
  return value;
}

// Natural logarithm of a normal positive number out of +, *, / only: the C library's may differ
// between machines in the last bit. ln m = 2 artanh((m-1)/(m+1)); |z| <= 0.172, so that the term
// z^23/23 is below one unit in the last place.
double portable_log(double x) {
  constexpr double kLn2 = 0.69314718055994530942;
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);
  if (mantissa < 0.70710678118654752440) {
    mantissa *= 2;
    --exponent;
  }
  const double z = (mantissa - 1) / (mantissa + 1);
  double sum = 0;
  for (int power = 23; power >= 1; power -= 2) sum = sum * z * z + 1.0 / power;
  return exponent * kLn2 + 2 * z * sum;
}

// The quantile of the standard normal distribution at `p` in (0, 1).
double normal_quantile(double p) {
  const double q = p - 0.5;
  if (std::abs(q) <= 0.425) {
    const double r = 0.180625 - q * q;
    return q * polynomial(kCentralAbove, r) / polynomial(kCentralBelow, r);
  }
  const double r = std::sqrt(-portable_log(q < 0 ? p : 1 - p));
  const double size = r <= 5 ? polynomial(kTailAbove, r - 1.6) / polynomial(kTailBelow, r - 1.6)
                             : polynomial(kFarAbove, r - 5) / polynomial(kFarBelow, r - 5);
  return q < 0 ? -size : size;
}

}  // namespace

RandomStream::RandomStream(uint64_t seed, std::string_view name) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(seed >> (8 * i)));
  bytes += name;
  increment_ = (seeded_hash(bytes, 1) << 1) | 1;
  state_ = increment_ + seeded_hash(bytes, 0);
  state_ = state_ * kMultiplier + increment_;
}

uint64_t RandomStream::next() {
  state_ = state_ * kMultiplier + increment_;
  const auto folded = static_cast<uint64_t>(state_ >> 64) ^ static_cast<uint64_t>(state_);
  return std::rotr(folded, static_cast<int>(state_ >> 122));
}

double RandomStream::uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

// Lemire 2019: the high half of a product, with the few low halves refused that would favor some
// values.
uint64_t RandomStream::below(uint64_t bound) {
  if (bound < 2) return 0;
  Wide product = Wide{next()} * bound;
  if (static_cast<uint64_t>(product) < bound) {
    const uint64_t threshold = -bound % bound;
    while (static_cast<uint64_t>(product) < threshold) product = Wide{next()} * bound;
  }
  return static_cast<uint64_t>(product >> 64);
}

// Inversion: one draw for one number, so that streams stay in step. 52 bits and a half keep p
// inside (0, 1).
double RandomStream::normal() {
  return normal_quantile((static_cast<double>(next() >> 12) + 0.5) * 0x1p-52);
}

bool RandomStream::bernoulli(double probability) { return uniform() < probability; }

size_t RandomStream::weighted(std::span<const double> weights) {
  double total = 0;
  for (const double weight : weights) total += std::max(weight, 0.0);
  const double target = uniform() * total;
  double sum = 0;
  size_t last = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (!(weights[i] > 0)) continue;
    sum += weights[i];
    last = i;
    if (target < sum) return i;
  }
  return last;  // rounding left the target at the very end
}

}  // namespace frugal::base
