#include "layerwise/rounding/order.h"

#include <gtest/gtest.h>

#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

TEST(Order, NaturalIsTheIdentity) {
  const at::Tensor d = at::tensor({3.0, 1.0, 2.0, 9.0});
  EXPECT_TRUE(at::equal(column_order(d, 2, ColumnOrder::kNatural), at::arange(4, at::kLong)));
}

TEST(Order, BlocksByTheirLargestThenInside) {
  const at::Tensor d = at::tensor({1.0, 5.0, 9.0, 2.0, 4.0, 3.0}, at::kDouble);
  const at::Tensor expected = at::tensor({2, 3, 1, 0, 4, 5}, at::kLong);
  EXPECT_TRUE(at::equal(column_order(d, 2, ColumnOrder::kGroupAware), expected));
}

TEST(Order, DescendingOverTheWholeRow) {
  const at::Tensor d = at::tensor({1.0, 5.0, 9.0, 2.0, 4.0, 3.0}, at::kDouble);
  const at::Tensor expected = at::tensor({2, 1, 4, 5, 3, 0}, at::kLong);
  EXPECT_TRUE(at::equal(column_order(d, 2, ColumnOrder::kDescending), expected));
}

TEST(Order, TiesKeepTheNaturalOrder) {
  for (const ColumnOrder order : {ColumnOrder::kGroupAware, ColumnOrder::kDescending}) {
    EXPECT_TRUE(
        at::equal(column_order(at::ones({8}, at::kDouble), 4, order), at::arange(8, at::kLong)));
  }
}

TEST(Order, BlockMustDivide) {
  EXPECT_THROW(column_order(at::ones({6}, at::kDouble), 4, ColumnOrder::kGroupAware), c10::Error);
}

}  // namespace
}  // namespace frugal::layerwise
