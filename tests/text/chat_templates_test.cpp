#include "text/chat_templates.h"

#include "base/file.h"
#include "support/shared_data.h"
#include "text/chat_template_files.h"
#include "text/special_tokens.h"

namespace frugal::text {
namespace {

class ChatTemplatesOfAFolder : public ::testing::Test {
 protected:
  void write(const std::string& name, std::string_view content) {
    std::filesystem::create_directories((folder() / name).parent_path());
    FRUGAL_ASSERT_OK(base::write_file_atomically(folder() / name, content));
  }
  const std::filesystem::path& folder() const { return folder_.path(); }
  std::string chosen(bool with_tools) const {
    const auto templates = read_chat_templates(folder());
    FRUGAL_EXPECT_OK(templates);
    const auto source = templates->choose(with_tools);
    FRUGAL_EXPECT_OK(source);
    return *source == nullptr ? "(none)" : **source;
  }

 private:
  test::TemporaryFolder folder_;
};

TEST_F(ChatTemplatesOfAFolder, NoneIsNoError) {
  EXPECT_EQ(chosen(false), "(none)");
  EXPECT_TRUE(read_chat_templates(folder())->variables.empty());
}

// Each file stands back behind those that are written after it.
TEST_F(ChatTemplatesOfAFolder, AreTakenInTransformersOrder) {
  write("chat_template.json", R"({"chat_template": "legacy"})");
  EXPECT_EQ(chosen(true), "legacy");
  EXPECT_EQ(*read_folder_tokens(folder())->special.chat.find("default"), "legacy");
  write("tokenizer_config.json", R"({"chat_template": "config"})");
  EXPECT_EQ(chosen(true), "config");
  write(
      "tokenizer_config.json",
      R"({"chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]})");
  EXPECT_EQ(chosen(true), "T");
  EXPECT_EQ(chosen(false), "D");
  EXPECT_EQ(*read_folder_tokens(folder())->special.chat.find("default"), "D");
  write("chat_template.jinja", "file");
  EXPECT_EQ(chosen(true), "file");
  write("additional_chat_templates/tool_use.jinja", "tools");
  write("additional_chat_templates/rag.jinja", "documents");
  write("additional_chat_templates/notes.txt", "none");
  EXPECT_EQ(chosen(true), "tools");
  EXPECT_EQ(chosen(false), "file");
  const auto templates = read_chat_templates(folder());
  EXPECT_EQ(*templates->find("rag"), "documents");
  EXPECT_EQ(templates->sources.size(), 3u);
}

TEST_F(ChatTemplatesOfAFolder, SpecialTokensComeWithThem) {
  write("tokenizer_config.json",
        R"({"bos_token": {"content": "<s>"}, "eos_token": null, "cls_token": "[CLS]",
    "extra_special_tokens": {"image_token": "<image>"}})");
  write("special_tokens_map.json", R"({"bos_token": "<other>", "eos_token": "</s>"})");
  EXPECT_EQ(read_chat_templates(folder())->variables,
            (std::map<std::string, std::string>{{"bos_token", "<s>"},
                                                {"cls_token", "[CLS]"},
                                                {"image_token", "<image>"},
                                                {"eos_token", "</s>"}}));
}

TEST_F(ChatTemplatesOfAFolder, AreWrittenAsTheyAreRead) {
  const ChatTemplates templates{
      .sources = {{"rag", "documents"}, {"default", "plain"}, {"rag", "never read"}}};
  FRUGAL_ASSERT_OK(write_chat_templates(templates, folder()));
  const auto found = read_chat_templates(folder());
  EXPECT_EQ(found->sources, (std::vector<std::pair<std::string, std::string>>{
                                {"default", "plain"}, {"rag", "documents"}}));
  for (const char* name : {"", ".", "..", "a/b", "../a", "a\\b"}) {
    const ChatTemplates bad{.sources = {{name, "text"}}};
    FRUGAL_EXPECT_ERROR(check_template_names(bad, "x.gguf"), absl::StatusCode::kInvalidArgument,
                        "x.gguf: the chat template '");
    FRUGAL_EXPECT_ERROR(write_chat_templates(bad, folder()), absl::StatusCode::kInvalidArgument,
                        "has a name that no file can have");
  }
  FRUGAL_EXPECT_OK(check_template_names({.sources = {{"tool_use", "text"}}}, ""));
}

TEST_F(ChatTemplatesOfAFolder, MalformedOnesAreErrors) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  write("tokenizer_config.json", R"({"chat_template": 3})");
  FRUGAL_EXPECT_ERROR(read_chat_templates(folder()), kInvalid, "a list of named ones");
  write("tokenizer_config.json", R"({"chat_template": [{"name": "default"}]})");
  FRUGAL_EXPECT_ERROR(read_chat_templates(folder()), kInvalid, "template");
  write("tokenizer_config.json", R"({"chat_template": [{"name": "rag", "template": "R"}]})");
  FRUGAL_EXPECT_ERROR(read_chat_templates(folder())->choose(true), kInvalid,
                      "the chat templates rag, but none named 'default'");
}

}  // namespace
}  // namespace frugal::text
