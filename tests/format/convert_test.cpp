#include "format/convert.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "base/random.h"
#include "support/shared_data.h"

namespace frugal::format {
namespace {

// By the definition of IEEE 754 binary16 and bfloat16, in double precision.
double decode(uint16_t bits, int exponent_bits, int mantissa_bits) {
  const double sign = (bits >> 15) != 0 ? -1 : 1;
  const int exponent = (bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
  const int mantissa = bits & ((1 << mantissa_bits) - 1);
  const int bias = (1 << (exponent_bits - 1)) - 1;
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
}

bool is_special(uint16_t bits, uint16_t exponent) { return (bits & exponent) == exponent; }

TEST(Convert, EveryHalfWidensExactly) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    if (!is_special(half, 0x7c00)) {
      ASSERT_EQ(f16_to_f32(half), decode(half, 5, 10)) << bits;
    }
    if (!is_special(half, 0x7f80)) {
      ASSERT_EQ(bf16_to_f32(half), decode(half, 8, 7)) << bits;
    }
  }
  EXPECT_EQ(f16_to_f32(0x7c00), std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(f16_to_f32(0x7e00)));
  EXPECT_TRUE(std::signbit(f16_to_f32(0x8000)));
}

TEST(Convert, EveryHalfNarrowsBackToItself) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    if (!is_special(half, 0x7c00)) {
      ASSERT_EQ(f32_to_f16(f16_to_f32(half)), half);
    }
    if (!is_special(half, 0x7f80)) {
      ASSERT_EQ(f32_to_bf16(bf16_to_f32(half)), half);
    }
  }
  EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(std::nanf("")))));
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::nanf("")))));
}

TEST(Convert, MidpointsGoToTheEvenNeighbor) {
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const float below = f16_to_f32(static_cast<uint16_t>(bits));
    const float above = f16_to_f32(static_cast<uint16_t>(bits + 1));
    const float middle = below + (above - below) / 2;  // exact in fp32
    const auto even = static_cast<uint16_t>(bits % 2 == 0 ? bits : bits + 1);
    ASSERT_EQ(f32_to_f16(middle), even) << bits;
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, 0.0f)), bits);
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, 1e9f)), bits + 1);
    ASSERT_EQ(f32_to_f16(-middle), even | 0x8000);
  }
  // The last step: from 65520 on, infinity is nearest.
  EXPECT_EQ(f32_to_f16(std::nextafter(65520.0f, 0.0f)), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
}

TEST(Convert, Bf16RoundsToTheNearestOfItsNeighbors) {
  base::RandomStream random(1, "bf16");
  for (int i = 0; i < 100000; ++i) {
    const float value = std::bit_cast<float>(static_cast<uint32_t>(random.next()));
    if (!std::isfinite(value) || std::fabs(value) > 3e38f) continue;
    const uint16_t bits = f32_to_bf16(value);
    const double error = std::fabs(static_cast<double>(bf16_to_f32(bits)) - value);
    for (const int step : {-1, 1}) {
      const auto neighbor = static_cast<uint16_t>(bits + step);
      if (is_special(neighbor, 0x7f80) || ((neighbor ^ bits) & 0x8000) != 0) continue;
      ASSERT_LE(error, std::fabs(static_cast<double>(bf16_to_f32(neighbor)) - value)) << value;
    }
  }
}

TEST(Convert, FindsTheFirstBadValue) {
  std::vector<float> values(10000, 1.0f);
  EXPECT_EQ(first_not_finite(values), std::nullopt);
  values[7000] = -std::numeric_limits<float>::infinity();
  values[9000] = std::nanf("");
  EXPECT_EQ(first_not_finite(values), 7000u);
  EXPECT_EQ(first_not_finite(DType::kF32, std::as_bytes(std::span(values))), 7000u);
}

// The largest finite number of a type is fine, the next bit pattern is infinity.
TEST(Convert, FindsTheFirstBadStoredValue) {
  for (const auto& [type, largest] :
       {std::pair(DType::kF16, uint16_t{0xfbff}), std::pair(DType::kBF16, uint16_t{0x7f7f})}) {
    std::vector<uint16_t> values(9000, largest);
    const auto bytes = std::as_bytes(std::span(values));
    EXPECT_EQ(first_not_finite(type, bytes), std::nullopt);
    values[8999] = static_cast<uint16_t>(largest + 1);
    EXPECT_EQ(first_not_finite(type, bytes), 8999u);
    values[4096] = static_cast<uint16_t>(largest + 2);  // NaN
    EXPECT_EQ(first_not_finite(type, bytes), 4096u);
    EXPECT_EQ(first_not_finite(type, bytes.first(2 * 4096)), std::nullopt);
  }
}

TEST(Convert, RefusesWhatTheTypeCannotHold) {
  std::vector<std::byte> out(16);
  const std::vector<float> nan = {1.0f, std::nanf("")};
  FRUGAL_EXPECT_ERROR(convert_from_f32(nan, DType::kF32, "tensor 'w'", out.data()),
                      absl::StatusCode::kFailedPrecondition, "tensor 'w': value 1 is NaN");
  const std::vector<float> large = {1.0f, 2.0f, 70000.0f};
  FRUGAL_EXPECT_ERROR(convert_from_f32(large, DType::kF16, "w", out.data()),
                      absl::StatusCode::kFailedPrecondition, "value 2 is 70000, too large for F16");
  FRUGAL_EXPECT_OK(convert_from_f32(large, DType::kBF16, "w", out.data()));
  FRUGAL_EXPECT_ERROR(convert_from_f32(large, DType::kI8, "w", out.data()),
                      absl::StatusCode::kInvalidArgument, "I8");
}

TEST(Convert, ReadsUnalignedBytes) {
  std::vector<std::byte> bytes(1 + 4 * sizeof(float));
  const std::vector<float> values = {1.0f, -2.5f, 0.0f, 1e-8f};
  FRUGAL_ASSERT_OK(convert_from_f32(values, DType::kF32, "w", bytes.data() + 1));
  std::vector<float> back(4);
  convert_to_f32(DType::kF32, std::span(bytes).subspan(1), back.data());
  EXPECT_EQ(back, values);
  FRUGAL_ASSERT_OK(convert_from_f32(values, DType::kF16, "w", bytes.data() + 1));
  convert_to_f32(DType::kF16, std::span(bytes).subspan(1, 8), back.data());
  EXPECT_EQ(back[1], -2.5f);
}

}  // namespace
}  // namespace frugal::format
