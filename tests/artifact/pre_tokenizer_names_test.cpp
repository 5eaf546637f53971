#include "artifact/gguf/pre_tokenizer_names.h"

#include <gmock/gmock.h>

#include <set>

#include "support/shared_data.h"

namespace frugal::artifact {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(PreTokenizerNames, EachIsThereOnce) {
  const std::vector<std::string>& names = pre_tokenizer_names();
  EXPECT_EQ(names.front(), "default");
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
  // Of the tokenizers that frugal finds by their patterns.
  EXPECT_THAT(names, testing::IsSupersetOf({"gpt-2", "llama-bpe", "qwen2"}));
  for (const std::string& name : names) FRUGAL_EXPECT_OK(check_pre_tokenizer_name(name));
}

TEST(PreTokenizerNames, OthersAreRefusedWithTheNearest) {
  FRUGAL_EXPECT_ERROR(check_pre_tokenizer_name("qwen3"), kInvalid,
                      "llama.cpp has no pre-tokenizer 'qwen3'; did you mean 'qwen2'?");
  FRUGAL_EXPECT_ERROR(check_pre_tokenizer_name("Llama-BPE"), kInvalid, "did you mean 'llama-bpe'?");
  FRUGAL_EXPECT_ERROR(check_pre_tokenizer_name("something else entirely"), kInvalid,
                      "; it has default, llama3, llama-v3, llama-bpe");
  FRUGAL_EXPECT_ERROR(check_pre_tokenizer_name(""), kInvalid, "no pre-tokenizer ''");
}

}  // namespace
}  // namespace frugal::artifact
