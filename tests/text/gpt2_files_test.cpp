#include "base/file.h"
#include "support/shared_data.h"
#include "text/tokenizer.h"

namespace frugal::text {
namespace {

class Gpt2Files : public ::testing::Test {
 protected:
  void write(const char* name, std::string_view content) {
    FRUGAL_ASSERT_OK(base::write_file_atomically(folder_.path() / name, content));
  }
  void SetUp() override {
    write(
        "vocab.json",
        R"({"a": 0, "b": 1, "ab": 2, "Ġ": 3, "1": 4, "<|endoftext|>": 5, "Ã": 6, "©": 7, "Ã©": 8})");
    write("merges.txt", "#version: 0.2\na b\nÃ ©\n");
    write("tokenizer_config.json",
          R"({"tokenizer_class": "Qwen2Tokenizer", "eos_token": {"content": "<|endoftext|>"}})");
  }
  test::TemporaryFolder folder_;
};

TEST_F(Gpt2Files, TheClassDecidesThePreTokenizer) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto qwen, load_tokenizer(folder_.path()));
  EXPECT_EQ(qwen->vocabulary().pre_tokenizer, "qwen2");
  EXPECT_EQ(qwen->vocabulary().eos, 5);
  EXPECT_EQ(qwen->encode("ab<|endoftext|>", false), (std::vector<TokenId>{2, 5}));
  EXPECT_EQ(qwen->encode("\u00e9", false), (std::vector<TokenId>{8}));
  EXPECT_EQ(qwen->encode("e\u0301", false), (std::vector<TokenId>{8}));  // NFC
  write("tokenizer_config.json", R"({"tokenizer_class": "GPT2TokenizerFast"})");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto gpt2, load_tokenizer(folder_.path()));
  EXPECT_EQ(gpt2->vocabulary().pre_tokenizer, "gpt-2");
  EXPECT_NE(gpt2->encode("e\u0301", false), (std::vector<TokenId>{8}));
  write("tokenizer_config.json", "{}");
  FRUGAL_EXPECT_ERROR(load_tokenizer(folder_.path()), absl::StatusCode::kInvalidArgument,
                      "tokenizer_class");
  write("config.json", R"({"model_type": "qwen2"})");
  EXPECT_EQ((*load_tokenizer(folder_.path()))->vocabulary().pre_tokenizer, "qwen2");
}

TEST_F(Gpt2Files, ErrorsNameTheLine) {
  write("merges.txt", "a b\na\n");
  FRUGAL_EXPECT_ERROR(load_tokenizer(folder_.path()), absl::StatusCode::kInvalidArgument,
                      "merges.txt:2");
  write("merges.txt", "b b\n");
  FRUGAL_EXPECT_ERROR(load_tokenizer(folder_.path()), absl::StatusCode::kInvalidArgument,
                      "'b' + 'b'");
}

}  // namespace
}  // namespace frugal::text
