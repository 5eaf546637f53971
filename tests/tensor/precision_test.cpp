#include "tensor/precision.h"

#include <ATen/Context.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace frugal::tensor {
namespace {

bool tf32() { return at::globalContext().allowTF32CuBLAS(); }

TEST(Float32MatmulScope, SettingsComeBack) {
  const bool before = tf32();
  for (const bool outer : {true, false}) {
    const Float32MatmulScope scope(outer);
    EXPECT_EQ(tf32(), outer);
    try {
      const Float32MatmulScope inner(!outer);
      EXPECT_EQ(tf32(), !outer);
      throw std::runtime_error("leaves the scope");
    } catch (const std::runtime_error&) {
    }
    EXPECT_EQ(tf32(), outer);
  }
  EXPECT_EQ(tf32(), before);
}

}  // namespace
}  // namespace frugal::tensor
