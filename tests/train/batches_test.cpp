#include "train/batches.h"

#include <algorithm>
#include <set>

#include "support/shared_data.h"
#include "train/toy.h"

namespace frugal::train {
namespace {

TEST(DataOrder, EveryEpochIsAPermutationOfItsOwn) {
  DataOrder order(10, 3);
  const std::vector<int64_t> first = order.rows(0, 10), second = order.rows(10, 10);
  for (const auto& epoch : {first, second}) {
    EXPECT_EQ(std::set<int64_t>(epoch.begin(), epoch.end()).size(), 10u);
    EXPECT_EQ(*std::max_element(epoch.begin(), epoch.end()), 9);
  }
  EXPECT_NE(first, second);
}

TEST(DataOrder, IsTheSameFromAnyPlace) {
  DataOrder whole(7, 5), jumping(7, 5), other(7, 6);
  const std::vector<int64_t> all = whole.rows(0, 40);
  const std::vector<int64_t> tail = jumping.rows(25, 15);
  EXPECT_TRUE(std::equal(tail.begin(), tail.end(), all.begin() + 25));
  EXPECT_NE(other.rows(0, 40), all);
}

TEST(ReadBatch, IsTheBatchOfThoseRows) {
  text::PackedTokens data = toy::packed(4, 6);
  std::fill_n(data.segments.begin() + 2 * 6 + 3, 3, 1);
  const TrainBatch expected = make_batch(data, {2, 0}, at::kCPU);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TrainBatch read, read_batch(data, {2, 0}, at::kCPU));
  EXPECT_TRUE(read.inputs.ids.equal(expected.inputs.ids));
  EXPECT_TRUE(read.inputs.segments.equal(expected.inputs.segments));
  EXPECT_TRUE(read.inputs.positions.equal(expected.inputs.positions));
  EXPECT_TRUE(read.places.equal(expected.places));
  EXPECT_TRUE(read.targets.equal(expected.targets));
  FRUGAL_EXPECT_ERROR(read_batch(data, {4}, at::kCPU), absl::StatusCode::kInternal,
                      "was asked for");
}

TEST(MakeBatch, PlainRowsNeedNoMask) {
  const text::PackedTokens data = toy::packed(4, 6);
  const TrainBatch batch = make_batch(data, {2, 0}, at::kCPU);
  ASSERT_EQ(batch.inputs.ids.sizes(), at::IntArrayRef({2, 5}));
  EXPECT_EQ(batch.inputs.ids[0][3].item<int64_t>(), data.ids[2 * 6 + 3]);
  EXPECT_EQ(batch.inputs.ids[1][0].item<int64_t>(), data.ids[0]);
  EXPECT_FALSE(batch.inputs.segments.defined());
  EXPECT_EQ(batch.targets.size(0), 10);
  EXPECT_EQ(batch.targets[0].item<int64_t>(), data.ids[2 * 6 + 1]);
}

TEST(MakeBatch, PaddingBehindOneDocumentNeedsNoMaskEither) {
  text::PackedTokens data = toy::packed(1, 6);
  data.segments = {0, 0, 0, 0, -1, -1};
  data.loss_mask = {0, 1, 1, 1, 0, 0};
  const TrainBatch batch = make_batch(data, {0}, at::kCPU);
  EXPECT_FALSE(batch.inputs.segments.defined());
  EXPECT_TRUE(batch.places.equal(at::tensor({0, 1, 2}, at::kLong)));
}

TEST(MakeBatch, SeveralDocumentsAreKeptApart) {
  text::PackedTokens data = toy::packed(1, 6);
  data.segments = {0, 0, 0, 1, 1, 1};
  data.positions = {0, 1, 2, 0, 1, 2};
  const TrainBatch batch = make_batch(data, {0}, at::kCPU);
  ASSERT_TRUE(batch.inputs.segments.defined());
  EXPECT_TRUE(batch.inputs.segments.equal(at::tensor({0, 0, 0, 1, 1}, at::kInt).unsqueeze(0)));
  EXPECT_TRUE(batch.inputs.positions.equal(at::tensor({0, 1, 2, 0, 1}, at::kLong).unsqueeze(0)));
  EXPECT_TRUE(batch.places.equal(at::tensor({0, 1, 3, 4}, at::kLong)));
}

}  // namespace
}  // namespace frugal::train
