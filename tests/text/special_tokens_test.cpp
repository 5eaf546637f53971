#include "text/special_tokens.h"

#include "base/file.h"
#include "support/shared_data.h"

namespace frugal::text {
namespace {

class SpecialTokensOfAFolder : public ::testing::Test {
 protected:
  void write(const char* name, std::string_view content) {
    FRUGAL_ASSERT_OK(base::write_file_atomically(folder_.path() / name, content));
  }
  test::TemporaryFolder folder_;
};

TEST_F(SpecialTokensOfAFolder, EmptyFoldersSayNothing) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const FolderTokens tokens, read_folder_tokens(folder_.path()));
  EXPECT_FALSE(tokens.special.bos || tokens.special.add_bos);
  EXPECT_TRUE(tokens.added.empty());
}

TEST_F(SpecialTokensOfAFolder, FilesComplementEachOther) {
  write("tokenizer_config.json",
        R"({"bos_token": {"content": "<s>"}, "eos_token": null, "add_bos_token": true,
    "chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}],
    "added_tokens_decoder": {"7": {"content": "<x>", "lstrip": true, "special": false, "normalized": false}}})");
  write("special_tokens_map.json",
        R"({"eos_token": "</s>", "additional_special_tokens": ["<y>"]})");
  write("added_tokens.json", R"({"<y>": 8, "<x>": 7, "<z>": 9})");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const FolderTokens tokens, read_folder_tokens(folder_.path()));
  EXPECT_EQ(tokens.special.bos, "<s>");
  EXPECT_EQ(tokens.special.eos, "</s>");
  EXPECT_EQ(tokens.special.add_bos, true);
  EXPECT_EQ(*tokens.special.chat.find("default"), "D");
  ASSERT_EQ(tokens.added.size(), 3u);
  EXPECT_TRUE(tokens.added[0].lstrip && !tokens.added[0].special);
  EXPECT_TRUE(tokens.added[1].special);
  EXPECT_FALSE(tokens.added[2].special);
  write("chat_template.jinja", "J");
  EXPECT_EQ(*read_folder_tokens(folder_.path())->special.chat.find("default"), "J");
}

TEST_F(SpecialTokensOfAFolder, MalformedFilesAreErrors) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  write("tokenizer_config.json", R"({"bos_token": 3})");
  FRUGAL_EXPECT_ERROR(read_folder_tokens(folder_.path()), kInvalid, "bos_token");
  write("tokenizer_config.json", R"({"added_tokens_decoder": {"x": {"content": "a"}}})");
  FRUGAL_EXPECT_ERROR(read_folder_tokens(folder_.path()), kInvalid, "key 'x'");
  write("tokenizer_config.json", "{}");
  write("added_tokens.json", R"({"a": "b"})");
  FRUGAL_EXPECT_ERROR(read_folder_tokens(folder_.path()), kInvalid, "'a' has the id");
  write("added_tokens.json", "[]");
  FRUGAL_EXPECT_ERROR(read_folder_tokens(folder_.path()), kInvalid, "expected an object");
}

}  // namespace
}  // namespace frugal::text
