#include "artifact/onnx/onnx_model.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"
#include "support/shared_data.h"
#include "support/toy_checkpoint.h"

namespace frugal::artifact {
namespace {

using namespace frugal::test;
namespace fs = std::filesystem;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// A toy whose files say what a test writes over them.
class OnnxModel : public ::testing::Test {
 protected:
  void SetUp() override { const format::Checkpoint made = toy_checkpoint(folder(), {.layers = 1}); }
  fs::path folder() const { return folder_.path() / "toy"; }
  void edit(const char* file, const std::function<void(base::Json&)>& change) {
    base::Json json = fs::exists(folder() / file) ? base::read_json(folder() / file).value()
                                                  : base::Json::object();
    change(json);
    FRUGAL_ASSERT_OK(base::write_file_atomically(folder() / file, json.dump()));
  }
  absl::Status write(const OnnxOptions& options = {}) {
    FRUGAL_ASSIGN_OR_RETURN(const format::Checkpoint checkpoint,
                            format::Checkpoint::open(folder()));
    FRUGAL_ASSIGN_OR_RETURN(const auto tokenizer, text::load_tokenizer(folder()));
    fs::create_directories(out());
    return write_onnx_folder(checkpoint, *tokenizer, options, out());
  }
  absl::Status check(const OnnxOptions& options = {}) {
    FRUGAL_ASSIGN_OR_RETURN(const format::Checkpoint checkpoint,
                            format::Checkpoint::open(folder()));
    format::ModelInfo info;
    info.name = "toy";
    info.config = checkpoint.config();
    info.has_tokenizer = true;
    info.tokenizer_folder = folder();
    return check_onnx(info, options);
  }
  fs::path out() const { return folder_.path() / "onnx"; }
  base::Json written(const char* file) { return base::read_json(out() / file).value(); }
  void forget_ids() {
    edit("config.json",
         [](base::Json& json) { json["bos_token_id"] = json["eos_token_id"] = nullptr; });
    edit("tokenizer_config.json", [](base::Json& json) {
      for (const char* key : {"bos_token", "eos_token", "pad_token"}) json.erase(key);
    });
  }
  test::TemporaryFolder folder_;
};

TEST_F(OnnxModel, ListsEveryEndOfText) {
  edit("config.json", [](base::Json& json) { json["eos_token_id"] = 2; });
  edit("tokenizer_config.json", [](base::Json& json) {
    for (const char* key : {"eos_token", "pad_token"}) json.erase(key);
  });
  edit("generation_config.json", [](base::Json& json) { json["eos_token_id"] = {2, 7}; });
  FRUGAL_ASSERT_OK(write());
  EXPECT_EQ(written("genai_config.json")["model"]["eos_token_id"], base::Json({2, 7}));
  EXPECT_EQ(written("genai_config.json")["model"]["pad_token_id"], 2);
}

TEST_F(OnnxModel, SamplesAsTheModelsOwnerSays) {
  FRUGAL_ASSERT_OK(write());
  EXPECT_EQ(written("genai_config.json")["search"]["do_sample"], false);
  edit("generation_config.json", [](base::Json& json) {
    json = {{"do_sample", true}, {"temperature", 0.6}, {"top_p", 0.9}};
  });
  FRUGAL_ASSERT_OK(write());
  const base::Json search = written("genai_config.json")["search"];
  EXPECT_EQ(search["do_sample"], true);
  EXPECT_EQ(search["temperature"], 0.6);
  EXPECT_EQ(search["top_k"], 50);
  EXPECT_EQ(search["top_p"], 0.9);
}

// The session says how products are computed, and the cache is a new tensor at every token.
TEST_F(OnnxModel, StandardOperatorsHaveTheirSettings) {
  constexpr const char* kLevel = "session.qdq_matmulnbits_accuracy_level";
  FRUGAL_ASSERT_OK(write());
  base::Json config = written("genai_config.json");
  EXPECT_FALSE(config["model"]["decoder"]["session_options"].contains(kLevel));
  EXPECT_EQ(config["search"]["past_present_share_buffer"], true);
  FRUGAL_ASSERT_OK(write({.accuracy_level = 1, .standard_operators = true}));
  config = written("genai_config.json");
  EXPECT_EQ(config["model"]["decoder"]["session_options"][kLevel], "1");
  EXPECT_EQ(config["search"]["past_present_share_buffer"], false);
}

TEST_F(OnnxModel, InventsNoIds) {
  forget_ids();
  FRUGAL_EXPECT_ERROR(check(), kInvalid, "give eos_token_id");
  FRUGAL_EXPECT_ERROR(write(), kInvalid, "give eos_token_id");
  FRUGAL_EXPECT_ERROR(check({.eos = {100000}}), kInvalid, "no id of the model");
  FRUGAL_EXPECT_OK(check({.eos = {5}}));
  FRUGAL_ASSERT_OK(write({.eos = {5}}));
  const base::Json model = written("genai_config.json")["model"];
  EXPECT_EQ(model["eos_token_id"], 5);
  EXPECT_FALSE(model.contains("bos_token_id"));
}

TEST_F(OnnxModel, CarriesTheChatTemplateInBothForms) {
  edit("tokenizer_config.json", [](base::Json& json) { json["chat_template"] = "weaker"; });
  FRUGAL_ASSERT_OK(base::write_file_atomically(folder() / "chat_template.jinja", "stronger"));
  FRUGAL_ASSERT_OK(write());
  EXPECT_EQ(written("tokenizer_config.json")["chat_template"], "stronger");
  EXPECT_EQ(base::read_file(out() / "chat_template.jinja").value(), "stronger");
}

// genai refuses a list, and transformers reads files.
TEST_F(OnnxModel, NamedChatTemplatesBecomeFiles) {
  edit("tokenizer_config.json", [](base::Json& json) {
    json["chat_template"] = {{{"name", "tool_use"}, {"template", "tools"}},
                             {{"name", "default"}, {"template", "plain"}}};
  });
  FRUGAL_ASSERT_OK(write());
  EXPECT_EQ(written("tokenizer_config.json")["chat_template"], "plain");
  EXPECT_EQ(base::read_file(out() / "chat_template.jinja").value(), "plain");
  EXPECT_EQ(base::read_file(out() / "additional_chat_templates" / "tool_use.jinja").value(),
            "tools");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto found, text::load_tokenizer(out()));
  EXPECT_EQ(*found->vocabulary().chat.find("tool_use"), "tools");
  edit("tokenizer_config.json",
       [](base::Json& json) { json["chat_template"][0]["name"] = "../../tools"; });
  FRUGAL_EXPECT_ERROR(check(), kInvalid, "the chat template '../../tools' has a name that no file");
  FRUGAL_EXPECT_ERROR(write(), kInvalid, "additional_chat_templates/NAME.jinja");
}

TEST_F(OnnxModel, WritesATokenizerConfigWhereThereIsNone) {  // genai wants the file
  fs::remove(folder() / "tokenizer_config.json");
  FRUGAL_ASSERT_OK(write());
  EXPECT_TRUE(written("tokenizer_config.json").contains("tokenizer_class"));
}

TEST_F(OnnxModel, CheckRefusesWhatWritingWould) {
  edit("tokenizer.json", [](base::Json& json) {
    json["added_tokens"].push_back({{"id", kToyVocabulary},
                                    {"content", "<pad>"},
                                    {"single_word", false},
                                    {"lstrip", false},
                                    {"rstrip", false},
                                    {"normalized", false},
                                    {"special", true}});
  });
  FRUGAL_EXPECT_ERROR(check(), kInvalid, "'<pad>' (id 280, from ");
  FRUGAL_EXPECT_ERROR(check(), kInvalid, "tokenizer.json) has no row");
  FRUGAL_EXPECT_ERROR(check(), kInvalid, "model.resize_token_embeddings(281)");
  FRUGAL_EXPECT_ERROR(check(), kInvalid, "or remove the piece from");
  FRUGAL_EXPECT_ERROR(write(), kInvalid, "'<pad>' (id 280");
}

}  // namespace
}  // namespace frugal::artifact
