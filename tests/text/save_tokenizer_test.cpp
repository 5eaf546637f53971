#include "base/json.h"
#include "golden_folder.h"
#include "support/shared_data.h"
#include "text/tokenizer.h"

namespace frugal::text {
namespace {

void expect_same(const Tokenizer& a, const Tokenizer& b, const std::string& where) {
  const Vocabulary& left = a.vocabulary();
  const Vocabulary& right = b.vocabulary();
  EXPECT_EQ(left.pieces, right.pieces) << where;
  EXPECT_EQ(left.types, right.types) << where;
  EXPECT_EQ(left.merges, right.merges) << where;
  EXPECT_EQ(left.pre_tokenizer, right.pre_tokenizer) << where;
  EXPECT_EQ(left.bos, right.bos) << where;
  EXPECT_EQ(left.eos, right.eos) << where;
  EXPECT_EQ(left.padding, right.padding) << where;
  EXPECT_EQ(left.add_bos, right.add_bos) << where;
  EXPECT_EQ(left.chat.sources, right.chat.sources) << where;
  for (const char* text :
       {"Hello world 123", " e\u0301 <left> word", "naïve 🙂\n\n", "<|endoftext|>"}) {
    EXPECT_EQ(a.encode(text, true), b.encode(text, true)) << where << ": " << text;
  }
}

TEST(SaveTokenizer, WhatIsWrittenReadsBackTheSame) {
  test::TemporaryFolder folder;
  const std::vector<std::string> texts = {"the cat and the other cat sat on the mat"};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto trained,
                              train_bpe(texts, {280, "llama-bpe", {"<|endoftext|>", "<|pad|>"}}));
  FRUGAL_ASSERT_OK(save_tokenizer(*trained, folder.path() / "trained"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto loaded, load_tokenizer(folder.path() / "trained"));
  expect_same(*trained, *loaded, "trained");
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(golden_folder() / "small")) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto original, load_tokenizer(entry.path()));
    if (original->vocabulary().kind != Vocabulary::Kind::kByteLevelBpe) continue;
    const auto copy = folder.path() / entry.path().stem();
    FRUGAL_ASSERT_OK(save_tokenizer(*original, copy));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto again, load_tokenizer(copy));
    expect_same(*original, *again, entry.path().string());
    ++count;
  }
  EXPECT_EQ(count, 9u);
}

TEST(SaveTokenizer, RealTokenizersReadBackTheSame) {
  FRUGAL_SHARED_DATA_OR_SKIP(novels, "novels-7m/hf");
  FRUGAL_SHARED_DATA_OR_SKIP(llama3, "tokenizer-llama3/tokenizer.model");
  for (const auto& path : {novels, llama3}) {
    test::TemporaryFolder folder;
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto original, load_tokenizer(path));
    FRUGAL_ASSERT_OK(save_tokenizer(*original, folder.path()));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto again, load_tokenizer(folder.path()));
    expect_same(*original, *again, path.string());
  }
}

TEST(SaveTokenizer, TheConfigNamesTheSpecialTokens) {
  test::TemporaryFolder folder;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto trained, train_bpe(std::vector<std::string>{"a"},
                                                            {257, "qwen2", {"<|endoftext|>"}}));
  FRUGAL_ASSERT_OK(save_tokenizer(*trained, folder.path()));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const base::Json config,
                              base::read_json(folder.path() / "tokenizer_config.json"));
  EXPECT_EQ(config["eos_token"], "<|endoftext|>");
  EXPECT_EQ(config["tokenizer_class"], "PreTrainedTokenizerFast");
  EXPECT_EQ(config["added_tokens_decoder"]["0"]["special"], true);
}

TEST(SaveTokenizer, OnlyByteLevelIsWritten) {
  test::TemporaryFolder folder;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto pieces,
                              load_tokenizer(golden_folder() / "small/spm_legacy.json"));
  FRUGAL_EXPECT_ERROR(save_tokenizer(*pieces, folder.path()), absl::StatusCode::kUnimplemented,
                      "byte-level");
}

}  // namespace
}  // namespace frugal::text
