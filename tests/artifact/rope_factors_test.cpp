#include "artifact/gguf/rope_factors.h"

#include <gtest/gtest.h>

#include "support/shared_data.h"

namespace frugal::artifact {
namespace {

using architecture::RopeScaling;

std::vector<float> as_stored(const RopeScaling& scaling, double theta, int64_t head_size) {
  const std::vector<double> factors = llama3_factors(scaling, theta, head_size);
  return {factors.begin(), factors.end()};
}

TEST(RopeFactors, PublishedScalingsComeBack) {
  for (const double factor : {8.0, 32.0}) {  // Llama 3.1 and 3.2
    const RopeScaling scaling{.factor = factor};
    const auto found = scaling_of_factors(as_stored(scaling, 500000, 128), 500000);
    FRUGAL_ASSERT_OK(found);
    EXPECT_EQ(*found, scaling);
  }
}

TEST(RopeFactors, OtherBoundsAreSolvedFor) {
  const RopeScaling scaling{.factor = 12.5,
                            .low_freq_factor = 1,
                            .high_freq_factor = 7.25,
                            .original_max_position_embeddings = 6000};
  const auto found = scaling_of_factors(as_stored(scaling, 500000, 128), 500000);
  FRUGAL_ASSERT_OK(found);
  EXPECT_EQ(*found, scaling);
}

TEST(RopeFactors, OtherRulesAreRefused) {
  for (const std::vector<float>& factors :
       {std::vector<float>(64, 1.0f), std::vector<float>(64, 0.5f), std::vector<float>{},
        std::vector<float>{1, 8, 1, 8}, std::vector<float>{1, 2, 3, 4},
        std::vector<float>{1, NAN, 8, 8}, std::vector<float>{1, INFINITY}}) {
    FRUGAL_EXPECT_ERROR(scaling_of_factors(factors, 500000), absl::StatusCode::kUnimplemented,
                        "Llama 3's rotary scaling");
  }
}

}  // namespace
}  // namespace frugal::artifact
