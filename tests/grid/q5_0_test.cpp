#include "grid_properties.h"

namespace frugal::grid {
namespace {

TEST(Q50, Properties) { expect_all_properties(*grid_or_die("q5_0")); }
TEST(Q50, DecodesAsTheReference) { expect_golden_decode(*grid_or_die("q5_0"), "decode_q5_0.bin"); }
TEST(Q50, PlainRuleIsTheReferences) {
  expect_golden_encode(*grid_or_die("q5_0"), "encode_q5_0.bin");
}

}  // namespace
}  // namespace frugal::grid
