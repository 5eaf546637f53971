#include "base/file.h"
#include "support/shared_data.h"
#include "text/origins.h"

namespace frugal::text {
namespace {

TEST(Tiktoken, IsToldFromProtobuf) {
  EXPECT_TRUE(looks_like_tiktoken("IQ== 0\nIg== 1\n"));
  EXPECT_FALSE(looks_like_tiktoken("\x0A\x0E\x0A\x05<unk>"));
  EXPECT_FALSE(looks_like_tiktoken(""));
  EXPECT_FALSE(looks_like_tiktoken("not base64 at all"));
}

TEST(Tiktoken, ErrorsNameTheLine) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  FRUGAL_EXPECT_ERROR(read_tiktoken("IQ== 0\nIg= 1\n", "f"), kInvalid, "f:2");
  FRUGAL_EXPECT_ERROR(read_tiktoken("IQ== 0\nIg== x\n", "f"), kInvalid, "f:2");
  FRUGAL_EXPECT_ERROR(read_tiktoken("IQ== 0\nIg== 0\n", "f"), kInvalid, "stands twice");
  FRUGAL_EXPECT_ERROR(read_tiktoken("IQ== 0\nIg== 2\n", "f"), absl::StatusCode::kUnimplemented,
                      "2 tiktoken ranks");
  FRUGAL_EXPECT_ERROR(read_tiktoken("IQ== 99999999999\n", "f"), kInvalid, "f:1");
  FRUGAL_EXPECT_ERROR(read_tiktoken("IQ== 0\n", "f"), absl::StatusCode::kUnimplemented,
                      "1 tiktoken ranks");
}

// p50k_base goes on behind GPT-2's end of text, which is no rank of its own.
TEST(Tiktoken, P50kLeavesAReservedRankOut) {
  FRUGAL_SHARED_DATA_OR_SKIP(ranks, "tokenizer-openai/p50k_base.tiktoken");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, load_tokenizer(ranks));
  EXPECT_EQ(tokenizer->size(), 50281);
  EXPECT_EQ(tokenizer->encode("<|endoftext|>", false), (std::vector<TokenId>{50256}));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("a    b", false)), "a    b");
  FRUGAL_ASSERT_OK_AND_ASSIGN(std::string content, base::read_file(ranks));
  const size_t line = content.find(" 1000\n");
  ASSERT_NE(line, std::string::npos);
  content.replace(line, 6, " 50281\n");
  FRUGAL_EXPECT_ERROR(read_tiktoken(content, "f"), absl::StatusCode::kInvalidArgument,
                      "the rank 1000 is missing");
}

// r50k_base is GPT-2: the same ids as from vocab.json and merges.txt.
TEST(Tiktoken, R50kIsGpt2) {
  FRUGAL_SHARED_DATA_OR_SKIP(ranks, "tokenizer-openai/r50k_base.tiktoken");
  FRUGAL_SHARED_DATA_OR_SKIP(inputs, "llamacpp-vocabs/ggml-vocab-gpt-2.gguf.inp");
  FRUGAL_SHARED_DATA_OR_SKIP(files, "tokenizer-gpt2");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, load_tokenizer(ranks));
  EXPECT_EQ(tokenizer->size(), 50257);
  EXPECT_EQ(tokenizer->vocabulary().eos, 50256);
  EXPECT_EQ(tokenizer->vocabulary().pre_tokenizer, "gpt-2");
  test::TemporaryFolder folder;
  std::filesystem::create_symlink(files / "gpt2_vocab.json", folder.path() / "vocab.json");
  std::filesystem::create_symlink(files / "gpt2_merges.txt", folder.path() / "merges.txt");
  FRUGAL_ASSERT_OK(
      base::write_file_atomically(folder.path() / "config.json", R"({"model_type": "gpt2"})"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto gpt2, load_tokenizer(folder.path()));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const std::string text, base::read_file(inputs));
  EXPECT_EQ(tokenizer->encode(text, false), gpt2->encode(text, false));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, false)), text);
}

}  // namespace
}  // namespace frugal::text
