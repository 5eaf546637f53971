#include "grid_properties.h"

namespace frugal::grid {
namespace {

class Nf4 : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(All, Nf4, ::testing::Values("nf4", "nf4:g32", "nf4:g6", "nf4:row"));

TEST_P(Nf4, Properties) { expect_all_properties(*grid_or_die(GetParam(), 96)); }

// QLoRA (arXiv 2305.14314, appendix E) prints them; zero is exact and the ends are -1 and 1.
TEST(Nf4Levels, AreQuantilesOfTheNormalDistribution) {
  const auto grid = grid_or_die("nf4");
  const std::vector<float>& levels = grid->spec().levels;
  ASSERT_EQ(levels.size(), 16u);
  EXPECT_EQ(levels[7], 0.0f);
  EXPECT_TRUE(grid->spec().holds_zero);
  // Their construction: quantiles of probabilities evenly spaced from 1/2 to
  // 0.9677083, eight above and seven below zero, over the largest.
  const auto quantile = [](double p) {
    double low = 0, high = 10;
    for (int i = 0; i < 80; ++i) {
      const double middle = (low + high) / 2;
      (0.5 * std::erfc(-middle / std::sqrt(2.0)) < p ? low : high) = middle;
    }
    return low;
  };
  constexpr double kEnd = 0.9677083;
  const double largest = quantile(kEnd);
  for (int i = 1; i <= 8; ++i)
    EXPECT_NEAR(levels[7 + i], quantile(0.5 + (kEnd - 0.5) * i / 8) / largest, 1e-6);
  for (int i = 1; i <= 7; ++i)
    EXPECT_NEAR(levels[7 - i], -quantile(0.5 + (kEnd - 0.5) * i / 7) / largest, 1e-6);
}

TEST(Nf4Names, AreCanonical) {
  EXPECT_EQ(grid_or_die("nf4")->spec().name, "nf4:g64");
  EXPECT_DOUBLE_EQ(grid_or_die("nf4")->spec().bits_per_weight(), 4.25);
  FRUGAL_EXPECT_ERROR(find_grid("nf4:asym", 64), absl::StatusCode::kInvalidArgument,
                      "unknown option 'asym'");
}

}  // namespace
}  // namespace frugal::grid
