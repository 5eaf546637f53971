#include "model/toy.h"

namespace frugal::model {
namespace {

at::Tensor numbered(int64_t rows, int64_t tokens, int64_t first) {
  return at::arange(first, first + rows * 2 * tokens * 3, at::kFloat).view({rows, 2, tokens, 3});
}

TEST(KeyValueCache, GrowsBeyondItsFirstBufferWithoutLosingAToken) {
  KeyValueCache cache;
  EXPECT_EQ(cache.length(), 0);
  std::vector<at::Tensor> keys, values;
  for (int64_t step = 0; step < 150; ++step) {
    const int64_t tokens = step % 3 + 1;
    keys.push_back(numbered(2, tokens, 1000 * step));
    values.push_back(-numbered(2, tokens, 1000 * step));
    const auto [all_keys, all_values] = cache.append(0, keys.back(), values.back());
    ASSERT_TRUE(all_keys.equal(tensor::concatenate(keys, 2))) << step;
    ASSERT_TRUE(all_values.equal(tensor::concatenate(values, 2))) << step;
  }
  EXPECT_EQ(cache.length(), 300);
}

TEST(KeyValueCache, KeepsChosenRows) {
  KeyValueCache cache;
  cache.append(0, numbered(3, 4, 0), numbered(3, 4, 500));
  cache.append(1, numbered(3, 4, 1000), numbered(3, 4, 1500));
  cache.select_rows(at::tensor({2, 0}, at::kLong));
  EXPECT_TRUE(
      cache.keys[1].equal(numbered(3, 4, 1000).index_select(0, at::tensor({2, 0}, at::kLong))));
  const auto [keys, values] = cache.append(0, numbered(2, 1, 7), numbered(2, 1, 8));
  EXPECT_EQ(keys.size(2), 5);
  EXPECT_TRUE(values.narrow(2, 4, 1).equal(numbered(2, 1, 8)));
  EXPECT_TRUE(values.narrow(2, 0, 4).equal(
      numbered(3, 4, 500).index_select(0, at::tensor({2, 0}, at::kLong))));
}

}  // namespace
}  // namespace frugal::model
