#include "artifact/special_ids.h"

#include <gtest/gtest.h>

#include "support/shared_data.h"

namespace frugal::artifact {
namespace {

using Ids = std::vector<int64_t>;

text::Vocabulary vocabulary(std::vector<std::string> pieces) {
  text::Vocabulary result;
  result.pieces = std::move(pieces);
  result.types.assign(result.pieces.size(), text::PieceType::kNormal);
  return result;
}

TEST(SpecialIds, UnknownIsNotZero) {
  const SpecialIds ids = special_ids({}, vocabulary({"a", "b"}));
  EXPECT_FALSE(ids.bos.has_value());
  EXPECT_TRUE(ids.eos.empty());
  EXPECT_FALSE(ids.pad.has_value());
}

TEST(SpecialIds, EveryEndIsListedTheConfigsFirst) {
  architecture::ModelConfig config;
  config.eos_token_ids = {2, 7};
  text::Vocabulary pieces = vocabulary(std::vector<std::string>(9, "x"));
  EXPECT_EQ(special_ids(config, pieces).eos, (Ids{2, 7}));
  pieces.eos = 7;
  EXPECT_EQ(special_ids(config, pieces).eos, (Ids{2, 7}));
  pieces.eos = 5;
  EXPECT_EQ(special_ids(config, pieces).eos, (Ids{2, 7, 5}));
  EXPECT_EQ(special_ids(config, pieces, {3}).eos, Ids{3});
  FRUGAL_EXPECT_OK(check_given_ids({0, 8}, 9));
  FRUGAL_EXPECT_ERROR(check_given_ids({9}, 9), absl::StatusCode::kInvalidArgument, "0 to 8");
}

TEST(SpecialIds, BosIsTheOneThatTheTokenizerPutsInFront) {
  architecture::ModelConfig config;
  config.bos_token_ids = {1};
  text::Vocabulary pieces = vocabulary({"a", "b", "c"});
  pieces.bos = 2;
  EXPECT_EQ(special_ids(config, pieces).bos, 1);
  pieces.add_bos = true;
  EXPECT_EQ(special_ids(config, pieces).bos, 2);
}

TEST(GgufEnds, OneEndOfTextAndOneOfTurn) {
  text::Vocabulary pieces = vocabulary({"<|end_of_text|>", "<|eom_id|>", "<|eot_id|>", "word"});
  const GgufEnds llama = gguf_ends({0, 1, 2}, pieces);
  EXPECT_EQ(llama.eos, 0);
  EXPECT_EQ(llama.eot, 2);
  EXPECT_EQ(llama.eom, 1);
  EXPECT_TRUE(llama.left_out.empty());
  const GgufEnds ordinary = gguf_ends({2, 3}, pieces);  // llama.cpp has no key for a second EOS
  EXPECT_FALSE(ordinary.eot.has_value());
  EXPECT_EQ(ordinary.left_out, Ids{3});
  pieces.types[3] = text::PieceType::kControl;
  EXPECT_EQ(gguf_ends({2, 3}, pieces).eot, 3);
  EXPECT_TRUE(gguf_ends({2, 0}, pieces).left_out.empty());  // found by its text
  EXPECT_FALSE(gguf_ends({}, pieces).eos.has_value());
}

}  // namespace
}  // namespace frugal::artifact
