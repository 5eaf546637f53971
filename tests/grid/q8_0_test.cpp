#include "grid_properties.h"

namespace frugal::grid {
namespace {

TEST(Q80, Properties) { expect_all_properties(*grid_or_die("q8_0")); }
TEST(Q80, DecodesAsTheReference) { expect_golden_decode(*grid_or_die("q8_0"), "decode_q8_0.bin"); }
TEST(Q80, PlainRuleIsTheReferences) {
  expect_golden_encode(*grid_or_die("q8_0"), "encode_q8_0.bin");
}

TEST(Q80, Layout) {
  const GridSpec spec = grid_or_die("q8_0")->spec();
  EXPECT_EQ(spec.block_bytes, 34);
  EXPECT_EQ(spec.ggml_type, 8u);
  EXPECT_DOUBLE_EQ(spec.bits_per_weight(), 8.5);
}

}  // namespace
}  // namespace frugal::grid
