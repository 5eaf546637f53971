#include "text/bpe.h"

#include "base/random.h"
#include "support/shared_data.h"

namespace frugal::text {
namespace {

// The definition of BPE, word for word: join the pair of lowest rank, the leftmost first, until
// there is none.
std::vector<TokenId> brute_force(std::vector<TokenId> ids, std::span<const MergeRule> merges) {
  for (;;) {
    size_t best_rule = merges.size(), best_at = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      for (size_t r = 0; r < best_rule; ++r) {
        if (merges[r].left == ids[i] && merges[r].right == ids[i + 1]) {
          best_rule = r;
          best_at = i;
        }
      }
    }
    if (best_rule == merges.size()) return ids;
    ids[best_at] = merges[best_rule].joined;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
  }
}

struct Toy {
  std::vector<std::string> pieces;
  std::vector<MergeRule> merges;
};

Toy random_toy(base::RandomStream& random) {
  Toy toy{{"a", "b", "c"}, {}};
  while (toy.pieces.size() < 14) {
    const auto left = static_cast<TokenId>(random.below(toy.pieces.size()));
    const auto right = static_cast<TokenId>(random.below(toy.pieces.size()));
    const std::string joined = toy.pieces[left] + toy.pieces[right];
    if (std::find(toy.pieces.begin(), toy.pieces.end(), joined) != toy.pieces.end()) continue;
    toy.merges.push_back({left, right, static_cast<TokenId>(toy.pieces.size())});
    toy.pieces.push_back(joined);
  }
  random.shuffle(std::span(toy.merges));  // ranks need not follow lengths
  return toy;
}

// On a random text of `length` letters.
void expect_brute_force(const BpeModel& model, const Toy& toy, uint64_t length,
                        base::RandomStream& random) {
  std::string text;
  std::vector<TokenId> ids;
  for (uint64_t n = 0; n < length; ++n) {
    ids.push_back(static_cast<TokenId>(random.below(3)));
    text += "abc"[ids.back()];
  }
  MergeScratch scratch;
  std::vector<TokenId> found;
  model.encode(text, scratch, found);
  EXPECT_EQ(found, brute_force(ids, toy.merges)) << text;
}

TEST(Bpe, TheHeapDoesWhatTheDefinitionSays) {
  base::RandomStream random(1, "bpe");
  for (int round = 0; round < 200; ++round) {
    const Toy toy = random_toy(random);
    FRUGAL_ASSERT_OK_AND_ASSIGN(
        const auto model,
        BpeModel::create(toy.pieces, std::vector<bool>(toy.pieces.size(), true), toy.merges, {}));
    expect_brute_force(*model, toy, random.below(40), random);
  }
}

// Both ways of joining, and the place where one takes over from the other.
TEST(Bpe, LongWordsAreJoinedAsShortOnesAre) {
  base::RandomStream random(2, "bpe/long");
  for (int round = 0; round < 50; ++round) {
    const Toy toy = random_toy(random);
    FRUGAL_ASSERT_OK_AND_ASSIGN(
        const auto model,
        BpeModel::create(toy.pieces, std::vector<bool>(toy.pieces.size(), true), toy.merges, {}));
    for (const size_t length : {31, 32, 33, 34, 100}) {
      expect_brute_force(*model, toy, length, random);
    }
  }
}

// By counted work, not by time: every merge is looked for at most where two symbols first meet.
TEST(Bpe, AMegabyteOfOneLetterTakesWorkInItsLength) {
  std::vector<std::string> pieces = {"a"};
  std::vector<MergeRule> merges;
  for (TokenId id = 0; id < 8; ++id) {
    merges.push_back({id, id, id + 1});
    pieces.push_back(pieces.back() + pieces.back());
  }
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const auto model,
      BpeModel::create(pieces, std::vector<bool>(pieces.size(), true), merges, {}));
  for (const int64_t length : {int64_t{1} << 18, int64_t{1} << 20}) {
    MergeScratch scratch;
    std::vector<TokenId> ids;
    model->encode(std::string(static_cast<size_t>(length), 'a'), scratch, ids);
    EXPECT_EQ(ids, std::vector<TokenId>(static_cast<size_t>(length >> 8), 8));
    EXPECT_LE(scratch.looked_up, 3 * length);
  }
}

TEST(Bpe, UnknownCharactersFollowTheOptions) {
  const std::vector<std::string> pieces = {"<unk>", "a", "<0xC3>", "<0xA9>"};
  const std::vector<bool> all(pieces.size(), true);
  const auto encode = [&](const BpeOptions& options, std::string_view text) {
    const auto model = BpeModel::create(pieces, all, {}, options);
    MergeScratch scratch;
    std::vector<TokenId> ids;
    (*model)->encode(text, scratch, ids);
    return ids;
  };
  using Ids = std::vector<TokenId>;
  EXPECT_EQ(encode({false, true, false, false, 0}, "aé"), (Ids{1, 2, 3}));
  EXPECT_EQ(encode({false, true, false, false, 0}, "ß"), (Ids{0}));  // its second byte has no piece
  EXPECT_EQ(encode({false, false, false, false, 0}, "xya"), (Ids{0, 0, 1}));
  EXPECT_EQ(encode({false, false, true, false, 0}, "xya"), (Ids{0, 1}));
  EXPECT_EQ(encode({false, false, false, false, std::nullopt}, "xya"), (Ids{1}));
}

TEST(Bpe, RefusesTablesThatDoNotFit) {
  const std::vector<std::string> pieces = {"a", "b", "a"};
  FRUGAL_EXPECT_ERROR(BpeModel::create(pieces, std::vector<bool>(3, true), {}, {}),
                      absl::StatusCode::kInvalidArgument, "the same piece");
  const std::vector<MergeRule> merges = {{0, 1, 3}};
  FRUGAL_EXPECT_ERROR(
      BpeModel::create(std::span(pieces).first(2), std::vector<bool>(2, true), merges, {}),
      absl::StatusCode::kInvalidArgument, "outside the vocabulary");
}

TEST(Bpe, NamesBytes) {
  for (unsigned byte = 0; byte < 256; ++byte) {
    EXPECT_EQ(parse_byte_piece(byte_piece(static_cast<unsigned char>(byte))),
              static_cast<unsigned char>(byte));
  }
  EXPECT_EQ(byte_piece(10), "<0x0A>");
  EXPECT_EQ(parse_byte_piece("<0x0a>"), std::nullopt);
  EXPECT_EQ(parse_byte_piece("<0x0A"), std::nullopt);
}

}  // namespace
}  // namespace frugal::text
