#include "text/score_merges.h"

#include <gtest/gtest.h>

namespace frugal::text {
namespace {

using Merges = std::vector<std::pair<std::string, std::string>>;

TEST(ScoreMerges, EveryPairOfAPieceByItsScore) {
  const std::vector<std::string> pieces = {"<unk>", "a", "b", "ab", "aba", "ba", "abé", "é"};
  const std::vector<float> scores = {0, -10, -11, -2, -1, -3, -0.5f, -12};
  std::vector<PieceType> types(pieces.size(), PieceType::kNormal);
  types[0] = PieceType::kUnknown;
  EXPECT_EQ(merges_of_scores(pieces, scores, types),
            (Merges{{"ab", "é"}, {"ab", "a"}, {"a", "ba"}, {"a", "b"}, {"b", "a"}}));
}

TEST(ScoreMerges, TextNeverBecomesAControlPieceOrAByte) {
  const std::vector<std::string> pieces = {"<", "s", ">", "<s", "<s>", "<0x41>"};
  const std::vector<float> scores = {-1, -2, -3, -4, 0, 0};
  const std::vector<PieceType> types = {PieceType::kNormal, PieceType::kNormal,  PieceType::kNormal,
                                        PieceType::kNormal, PieceType::kControl, PieceType::kByte};
  EXPECT_EQ(merges_of_scores(pieces, scores, types), (Merges{{"<", "s"}}));
}

}  // namespace
}  // namespace frugal::text
