#include "text/piece_trie.h"

#include "base/random.h"
#include "support/shared_data.h"

namespace frugal::text {
namespace {

using Found = std::vector<std::pair<size_t, int32_t>>;

Found prefixes(const PieceTrie& trie, std::string_view text) {
  Found found;
  trie.for_each_prefix(text,
                       [&](size_t bytes, int32_t number) { found.emplace_back(bytes, number); });
  return found;
}

TEST(PieceTrie, FindsEveryPieceAtTheFront) {
  base::RandomStream random(8, "piece-trie");
  const auto word = [&] {
    std::string text;
    for (uint64_t n = 1 + random.below(6); n > 0; --n) text += "ab\xFF"[random.below(3)];
    return text;
  };
  for (int round = 0; round < 200; ++round) {
    std::vector<std::pair<std::string, int32_t>> pieces;
    for (uint64_t n = random.below(40); n > 0; --n)
      pieces.emplace_back(word(), static_cast<int32_t>(pieces.size()));
    const PieceTrie trie(pieces);
    const std::string text = word() + word();
    Found expected;
    for (size_t bytes = 1; bytes <= text.size(); ++bytes) {
      int32_t last = -1;
      for (const auto& [piece, number] : pieces) {
        if (piece == text.substr(0, bytes)) last = number;
      }
      if (last >= 0) expected.emplace_back(bytes, last);
    }
    ASSERT_EQ(prefixes(trie, text), expected);
  }
  EXPECT_TRUE(prefixes(PieceTrie({}), "a").empty());
}

}  // namespace
}  // namespace frugal::text
