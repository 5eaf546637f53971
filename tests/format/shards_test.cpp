// What is wrong with an index or a shard is shown in checkpoint_test.cpp, by whole checkpoints.
#include "format/shards.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "format/tiny_model.h"

namespace frugal::format {
namespace {

namespace fs = std::filesystem;

absl::StatusOr<Weights> weights_of(const fs::path& folder, int64_t max_shard_bytes) {
  FRUGAL_RETURN_IF_ERROR(
      test::write_model(folder, test::tiny_config(), DType::kF32, max_shard_bytes));
  return open_weights(folder);
}

TEST(OpenWeights, FindsEveryTensorInItsShard) {
  for (const int64_t max_shard_bytes : {int64_t{20000}, int64_t{1} << 40}) {
    const frugal::test::TemporaryFolder folder;
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Weights weights, weights_of(folder.path(), max_shard_bytes));
    EXPECT_EQ(weights.shards.size() > 1, max_shard_bytes == 20000);
    size_t held = 0;
    for (const SafetensorsFile& shard : weights.shards) held += shard.tensors().size();
    EXPECT_EQ(held, weights.shard_of.size());
    for (const architecture::Tensor& tensor : architecture::tensors(test::tiny_config())) {
      const auto found = weights.shard_of.find(tensor.name);
      ASSERT_NE(found, weights.shard_of.end()) << tensor.name;
      const auto& tensors = weights.shards[found->second].tensors();
      EXPECT_TRUE(std::any_of(tensors.begin(), tensors.end(), [&](const auto& item) {
        return item.first == tensor.name;
      })) << tensor.name;
    }
  }
}

TEST(OpenWeights, NamesAShardThatIsMissing) {
  const frugal::test::TemporaryFolder folder;
  FRUGAL_ASSERT_OK(weights_of(folder.path(), 20000).status());
  const char* kFirst = "model-00001-of-";
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    if (entry.path().filename().string().starts_with(kFirst)) fs::remove(entry.path());
  }
  FRUGAL_EXPECT_ERROR(open_weights(folder.path()), absl::StatusCode::kNotFound, kFirst);
}

TEST(OpenWeights, AFolderWithoutWeightsIsNone) {
  const frugal::test::TemporaryFolder folder;
  EXPECT_FALSE(open_weights(folder.path()).ok());
}

TEST(ShardDealer, BeginsAShardWhereATensorWouldBringOneAboveTheLimit) {
  const auto dealt = [](int64_t limit, const std::vector<int64_t>& sizes) {
    ShardDealer dealer(limit);
    std::vector<size_t> shards;
    for (const int64_t size : sizes) shards.push_back(dealer.deal(size));
    EXPECT_EQ(dealer.count(), shards.empty() ? 1 : shards.back() + 1);
    return shards;
  };
  using Shards = std::vector<size_t>;
  EXPECT_EQ(dealt(10, {}), Shards{});
  EXPECT_EQ(dealt(10, {4, 6, 1, 9, 1}), (Shards{0, 0, 1, 1, 2}));
  EXPECT_EQ(dealt(10, {11, 1, 11, 11}), (Shards{0, 1, 2, 3}));  // larger ones are alone
  EXPECT_EQ(dealt(std::numeric_limits<int64_t>::max(), {int64_t{1} << 62, int64_t{1} << 62}),
            (Shards{0, 1}));  // no sum overflows
}

}  // namespace
}  // namespace frugal::format
