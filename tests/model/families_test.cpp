// Every family's forward against transformers' fp32 logits (tests/golden/families): at once, in
// chunks and token by token over a cache, packed, and greedily generated.
#include <algorithm>

#include "base/hash.h"
#include "model/generate.h"
#include "model/toy.h"
#include "support/family_checkpoint.h"

namespace frugal::model {
namespace {

using test::FamilyGolden;

// Logits reach 19 here; two orders of evaluation in fp32 differ by a few 1e-5 there.
constexpr double kTolerance = 1e-4;

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

absl::StatusOr<Decoder> load(const FamilyGolden& golden, const std::filesystem::path& folder) {
  test::write_family(golden, folder);
  FRUGAL_ASSIGN_OR_RETURN(const auto checkpoint, format::Checkpoint::open(folder));
  return Decoder::load(checkpoint, {});
}

class Families : public testing::TestWithParam<std::string> {
 protected:
  const FamilyGolden golden_ = test::read_family(GetParam());
  const test::TemporaryFolder folder_;
  const Decoder decoder_ = load(golden_, folder_.path()).value();

  static at::Tensor row(const std::vector<int64_t>& ids) {
    return at::tensor(ids, at::kLong).unsqueeze(0);
  }

  // Largest difference of logits [T, V] from the golden ones of prompt `index`.
  double difference(const at::Tensor& logits, size_t index) const {
    const auto& expected = golden_.logits[index];
    EXPECT_EQ(logits.size(0), static_cast<int64_t>(expected.size()));
    double worst = 0;
    for (size_t t = 0; t < expected.size(); ++t) {
      const at::Tensor found =
          logits[static_cast<int64_t>(t)].index_select(0, at::tensor(golden_.columns, at::kLong));
      worst = std::max(worst, toy::largest_difference(found, at::tensor(expected[t], at::kDouble)));
    }
    return worst;
  }

  // Over a cache, in pieces of these lengths; the last one is repeated to the end.
  at::Tensor in_pieces(const std::vector<int64_t>& ids, const std::vector<int64_t>& lengths) const {
    const at::Tensor all = row(ids);
    KeyValueCache cache;
    cache.planned_lengths = at::tensor({all.size(1)}, at::kLong);
    std::vector<at::Tensor> parts;
    for (int64_t begin = 0, piece = 0; begin < all.size(1); ++piece) {
      const size_t at_hand = std::min<size_t>(piece, lengths.size() - 1);
      const int64_t length = std::min(lengths[at_hand], all.size(1) - begin);
      parts.push_back(decoder_.logits({all.narrow(1, begin, length), {}}, &cache)[0]);
      begin += length;
    }
    return tensor::concatenate(parts, 0);
  }
};

INSTANTIATE_TEST_SUITE_P(Golden, Families, testing::ValuesIn(test::golden_families()), test_name);

TEST_P(Families, PrefillEqualsTransformers) {
  for (size_t i = 0; i < golden_.prompts.size(); ++i) {
    EXPECT_LT(difference(decoder_.logits({row(golden_.prompts[i]), {}})[0], i), kTolerance);
  }
}

TEST_P(Families, ChunksOverACacheEqualTransformers) {
  for (size_t i = 0; i < golden_.prompts.size(); ++i) {
    EXPECT_LT(difference(in_pieces(golden_.prompts[i], {11, 1, 6}), i), kTolerance);
  }
}

TEST_P(Families, TokenByTokenEqualsTransformers) {
  for (size_t i = 0; i < golden_.prompts.size(); ++i) {
    EXPECT_LT(difference(in_pieces(golden_.prompts[i], {1}), i), kTolerance);
  }
}

// As training and calibration see text: both prompts in one row, then some padding.
TEST_P(Families, PackedSequencesEqualTransformers) {
  constexpr int64_t kPadding = 3;
  std::vector<at::Tensor> ids, positions, segments;
  for (size_t i = 0; i < golden_.prompts.size(); ++i) {
    const auto length = static_cast<int64_t>(golden_.prompts[i].size());
    ids.push_back(at::tensor(golden_.prompts[i], at::kLong));
    positions.push_back(at::arange(length, at::kLong));
    segments.push_back(at::full({length}, static_cast<int64_t>(i), at::kInt));
  }
  ids.push_back(at::zeros({kPadding}, at::kLong));
  positions.push_back(at::arange(kPadding, at::kLong));
  segments.push_back(at::full({kPadding}, -1, at::kInt));
  const at::Tensor logits = decoder_.logits({tensor::concatenate(ids).unsqueeze(0),
                                             tensor::concatenate(positions).unsqueeze(0),
                                             tensor::concatenate(segments).unsqueeze(0)});
  int64_t begin = 0;
  for (size_t i = 0; i < golden_.prompts.size(); ++i) {
    const auto length = static_cast<int64_t>(golden_.prompts[i].size());
    EXPECT_LT(difference(logits[0].narrow(0, begin, length), i), kTolerance);
    begin += length;
  }
}

// Prompts of different length in one batch.
TEST_P(Families, GreedyTextEqualsTransformers) {
  std::vector<std::vector<text::TokenId>> prompts;
  for (const auto& ids : golden_.prompts) prompts.emplace_back(ids.begin(), ids.end());
  GenerateOptions options;
  options.max_new_tokens = static_cast<int64_t>(golden_.greedy[0].size());
  options.ignore_stop = true;
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const auto found, generate(decoder_, prompts, options, base::RandomStream(1, "families")));
  for (size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(std::vector<int64_t>(found[i].begin(), found[i].end()), golden_.greedy[i]);
  }
}

TEST(FamilyCheckpoint, WeightsAreThoseThatTransformersHad) {
  ASSERT_FALSE(test::golden_families().empty());
  for (const std::string& family : test::golden_families()) {
    const FamilyGolden golden = test::read_family(family);
    std::string bytes;
    for (const auto& [name, shape] : golden.tensors) {
      const std::vector<float> values = test::family_tensor(golden, name);
      bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
    }
    EXPECT_EQ(base::sha256(bytes), golden.weights_sha256) << family;
  }
}

}  // namespace
}  // namespace frugal::model
