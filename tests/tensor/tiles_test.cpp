#include "tensor/tiles.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "support/random_tensors.h"
#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

TEST(Tiles, EveryTileRunsOnce) {
  for (const int threads : {1, 2, 3}) {
    const ThreadCount count(threads);
    std::vector<std::atomic<int>> runs(37);
    tensor::for_each_tile(37, [&](int64_t i) { ++runs[static_cast<size_t>(i)]; });
    for (const auto& n : runs) EXPECT_EQ(n.load(), 1);
  }
}

TEST(Tiles, NothingToDoIsFine) {
  tensor::for_each_tile(0, [](int64_t) { FAIL(); });
}

TEST(Tiles, FirstExceptionArrives) {
  for (const int threads : {1, 2}) {
    const ThreadCount count(threads);
    EXPECT_THROW(tensor::for_each_tile(8, [](int64_t i) { TORCH_CHECK(i != 5, "tile five"); }),
                 c10::Error);
  }
}

TEST(Tiles, ThreadSettingIsRestored) {
  const ThreadCount count(2);
  tensor::for_each_tile(1, [](int64_t) {});
  EXPECT_EQ(at::get_num_threads(), 2);
}

TEST(Tiles, ProductEqualsThePlainOne) {
  const at::Tensor a = random_matrix(1, "a", 131, 77), b = random_matrix(1, "b", 77, 45);
  const at::Tensor expected = at::mm(a.to(at::kDouble), b.to(at::kDouble));
  // 77 fp32 products of size 1: errors of some 77 * 6e-8 * |values|.
  EXPECT_LT((tensor::matrix_product(a, b) - expected).abs().max().item<double>(), 1e-4);
}

TEST(Tiles, SameBitsAtAnyThreadCount) {
  const at::Tensor a = random_matrix(2, "a", 300, 500), b = random_matrix(2, "b", 500, 200);
  at::Tensor product, difference;
  for (const int threads : {1, 2, 3}) {
    const ThreadCount count(threads);
    const at::Tensor here = tensor::matrix_product(a, b);
    at::Tensor wide = at::ones({300, 210});
    tensor::subtract_product(wide.narrow(1, 10, 200), a, b);
    if (product.defined()) {
      EXPECT_TRUE(at::equal(here, product));
      EXPECT_TRUE(at::equal(wide, difference));
    }
    product = here;
    difference = wide;
  }
  EXPECT_TRUE(at::equal(difference.narrow(1, 0, 10),
                        at::ones({300, 10})));  // beside the view nothing moved
}

TEST(Tiles, RowProductsAreTraces) {
  const at::Tensor a = random_matrix(3, "a", 5, 9), x = random_matrix(3, "x", 20, 9);
  const at::Tensor h = second_moment(x);
  const at::Tensor outputs = at::mm(x.to(at::kDouble), a.to(at::kDouble).t());
  const at::Tensor expected = outputs.square().mean(0);  // E of each output squared
  EXPECT_LT((tensor::row_products(a, h, a) - expected).abs().max().item<double>(), 1e-9);
}

}  // namespace
}  // namespace frugal::layerwise
