#include "model/stage_input.h"

#include <gtest/gtest.h>

#include "tensor/aten.h"

namespace frugal::model {
namespace {

// Two windows of three tokens of two channels: 0 .. 11.
at::Tensor batch() { return at::arange(12, at::kFloat).view({2, 3, 2}); }
at::Tensor numbers(const std::vector<int64_t>& tokens) { return at::tensor(tokens, at::kLong); }
StageInput input_of(const std::vector<int64_t>& tokens) {
  return {batch().view({6, 2}).index_select(0, numbers(tokens)), numbers(tokens)};
}

TEST(StageInput, AllTokensAreNotCopied) {
  const at::Tensor x = batch();
  const StageInput all{x};
  EXPECT_TRUE(all.of_all_tokens());
  EXPECT_EQ(all.matrix().const_data_ptr(), x.const_data_ptr());
  EXPECT_EQ(all.rows_of(x).const_data_ptr(), x.const_data_ptr());
  const SharedRows shared = shared_rows(all, {x + 1});
  EXPECT_EQ(shared.first.const_data_ptr(), x.const_data_ptr());
  EXPECT_TRUE(at::equal(shared.second, (x + 1).view({6, 2})));
}

TEST(StageInput, RowsOfSomeTokensComeAndGoBack) {
  const StageInput some = input_of({1, 5});
  EXPECT_TRUE(at::equal(some.rows_of(batch()), some.rows));
  const at::Tensor added = some.added_to(batch(), at::ones({2, 2}));
  at::Tensor expected = batch();
  expected[0][1] += 1;
  expected[1][2] += 1;
  EXPECT_TRUE(at::equal(added, expected));
  EXPECT_TRUE(at::equal(StageInput{batch()}.added_to(batch(), batch()), 2 * batch()));
}

TEST(StageInput, SharedRowsAreThoseOfTheSameTokens) {
  const StageInput first = input_of({0, 2, 3, 5}), second = input_of({1, 2, 5});
  EXPECT_FALSE(same_tokens(first, second));
  EXPECT_TRUE(same_tokens(first, input_of({0, 2, 3, 5})));
  EXPECT_FALSE(same_tokens(first, {batch()}));
  const SharedRows both = shared_rows(first, second);
  EXPECT_TRUE(at::equal(both.first, input_of({2, 5}).rows));
  EXPECT_TRUE(at::equal(both.second, both.first));
  const SharedRows left = shared_rows({batch()}, second), right = shared_rows(first, {batch()});
  EXPECT_TRUE(at::equal(left.first, second.rows));
  EXPECT_TRUE(at::equal(left.second, second.rows));
  EXPECT_TRUE(at::equal(right.first, first.rows));
  EXPECT_TRUE(at::equal(right.second, first.rows));
  EXPECT_EQ(shared_rows(input_of({0}), input_of({1})).first.size(0), 0);
}

}  // namespace
}  // namespace frugal::model
