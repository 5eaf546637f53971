#include "format/generation_config.h"

#include "tiny_model.h"

namespace frugal::format {
namespace {

using Ids = std::vector<int64_t>;

class GenerationConfig : public ::testing::Test {
 protected:
  absl::StatusOr<architecture::ModelConfig> apply(std::string_view text) {
    test::write_text(folder_.path() / "generation_config.json", text);
    architecture::ModelConfig config = test::tiny_config();  // bos 1, eos 2, vocabulary 40
    FRUGAL_RETURN_IF_ERROR(apply_generation_config(folder_.path(), config));
    return config;
  }
  frugal::test::TemporaryFolder folder_;
};

// transformers' generate() takes generation_config.json where it says something.
TEST_F(GenerationConfig, WinsOverTheModelsConfig) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const architecture::ModelConfig config,
      apply(R"({"eos_token_id": [2, 7], "bos_token_id": 3, "pad_token_id": 0})"));
  EXPECT_EQ(config.eos_token_ids, (Ids{2, 7}));
  EXPECT_EQ(config.bos_token_ids, Ids{3});
  EXPECT_EQ(config.pad_token_id, 0);
}

TEST_F(GenerationConfig, WhatItDoesNotSayStays) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const architecture::ModelConfig config,
                              apply(R"({"eos_token_id": null, "pad_token_id": -1, "top_p": 0.9})"));
  EXPECT_EQ(config.eos_token_ids, Ids{2});
  EXPECT_EQ(config.bos_token_ids, Ids{1});
  EXPECT_FALSE(config.pad_token_id.has_value());
  const frugal::test::TemporaryFolder empty;
  architecture::ModelConfig plain = test::tiny_config();
  FRUGAL_ASSERT_OK(apply_generation_config(empty.path(), plain));
  EXPECT_EQ(plain.eos_token_ids, Ids{2});
}

TEST_F(GenerationConfig, ImpossibleIdsAreNamed) {
  FRUGAL_EXPECT_ERROR(apply(R"({"eos_token_id": [2, 40]})"), absl::StatusCode::kInvalidArgument,
                      "generation_config.json: 'eos_token_id' holds 40, expected ids below");
  FRUGAL_EXPECT_ERROR(apply("[1]"), absl::StatusCode::kInvalidArgument, "JSON object");
}

TEST_F(GenerationConfig, IsReadWithTheCheckpoint) {
  FRUGAL_ASSERT_OK(test::write_model(folder_.path(), test::tiny_config(), DType::kF32));
  test::write_text(folder_.path() / "generation_config.json", R"({"eos_token_id": [2, 7]})");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Checkpoint checkpoint, Checkpoint::open(folder_.path()));
  EXPECT_EQ(checkpoint.config().eos_token_ids, (Ids{2, 7}));
}

}  // namespace
}  // namespace frugal::format
