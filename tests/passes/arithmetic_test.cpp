#include "passes/common/arithmetic.h"

#include <gtest/gtest.h>

#include "kernels/bf16_product.h"
#include "pass/option_reader.h"
#include "passes/registry.h"
#include "support/shared_data.h"
#include "tensor/device.h"

namespace frugal::passes {
namespace {

TEST(Arithmetic, NamesWhatTheMachineDecides) {
  EXPECT_EQ(arithmetic_of("fp32", "cpu"), "fp32");
  EXPECT_EQ(arithmetic_of("bf16", "cpu"), "bf16");
  EXPECT_EQ(arithmetic_of("rounded", "cuda:1"), "tf32");
  EXPECT_EQ(arithmetic_of("auto", "cuda:0"), "bf16");
  // Whatever this CPU is, the word follows what computes.
  EXPECT_EQ(arithmetic_of("rounded", "cpu") == "fp32", kernels::fast_bf16_kernel() == nullptr);
  EXPECT_EQ(arithmetic_of("auto", "cpu") == "bf16", tensor::cpu_has_native_bf16());
}

// A pass whose products are rounded somewhere says so with an option that the key can read.
TEST(Arithmetic, EveryPassOverDataHasItsPrecision) {
  std::vector<std::string> with;
  for (const pass::PassFactory factory : registry()) {
    const auto pass = factory();
    if (!pass::precision_options(*pass).empty()) with.push_back(pass->info().name);
  }
  EXPECT_THAT(with, testing::UnorderedElementsAre("train", "distill", "finetune", "prune", "rotate",
                                                  "smooth", "quantize", "tune"));
}

}  // namespace
}  // namespace frugal::passes
