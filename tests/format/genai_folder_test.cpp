#include "format/genai_folder.h"

#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "support/shared_data.h"

namespace frugal::format {
namespace {

namespace fs = std::filesystem;
using absl::StatusCode;
using base::Json;

class GenaiFolderTest : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_.path() / name) << text;
  }
  void write_config(const Json& model) const {
    write("genai_config.json", Json({{"model", model}}).dump());
  }
  static Json model() {
    return {{"type", "llama"},   {"vocab_size", 300},      {"context_length", 128},
            {"bos_token_id", 1}, {"eos_token_id", {2, 3}}, {"pad_token_id", 2}};
  }
  const fs::path& path() const { return folder_.path(); }
  const test::TemporaryFolder folder_;
};

TEST_F(GenaiFolderTest, IsKnownByItsConfigWhereNoWeightsOfACheckpointAre) {
  EXPECT_FALSE(is_genai_folder(path()));
  EXPECT_FALSE(is_genai_folder(path() / "none"));
  write_config(model());
  EXPECT_TRUE(is_genai_folder(path()));
  write("config.json", "{}");  // as other exporters leave it there
  EXPECT_TRUE(is_genai_folder(path()));
  write("model.safetensors", "");
  EXPECT_FALSE(is_genai_folder(path()));
}

TEST_F(GenaiFolderTest, TellsVocabularyContextAndIds) {
  write_config(model());
  write("model.onnx", std::string(70, 'x'));
  write("model.onnx.data", std::string(30, 'x'));
  FRUGAL_ASSERT_OK_AND_ASSIGN(ModelInfo info, genai_model_info(path()));
  EXPECT_EQ(info.config.vocabulary_size, 300);
  EXPECT_EQ(info.config.context_length, 128);
  EXPECT_EQ(info.config.model_type, "llama");
  EXPECT_EQ(info.config.bos_token_ids, std::vector<int64_t>{1});
  EXPECT_EQ(info.config.eos_token_ids, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(info.config.pad_token_id, 2);
  EXPECT_EQ(info.size_bytes, 100);
  EXPECT_FALSE(has_weights(info));
  EXPECT_FALSE(info.has_tokenizer);
  write("tokenizer.json", "{}");
  FRUGAL_ASSERT_OK_AND_ASSIGN(info, genai_model_info(path()));
  EXPECT_TRUE(info.has_tokenizer);
  EXPECT_EQ(info.tokenizer_folder, path());
}

TEST_F(GenaiFolderTest, RefusesWhatNoModelHas) {
  const auto refused = [&](const char* key, const Json& value, std::string_view message) {
    Json changed = model();
    changed[key] = value;
    write_config(changed);
    FRUGAL_EXPECT_ERROR(genai_model_info(path()), StatusCode::kInvalidArgument, message);
  };
  refused("vocab_size", 0, "vocab_size");
  refused("vocab_size", int64_t{1} << 40, "vocab_size");
  refused("vocab_size", "many", "vocab_size");
  refused("context_length", -1, "context_length");
  refused("eos_token_id", 300, "eos_token_id");
  refused("type", nullptr, "type");
  refused("decoder", {{"filename", "../other/model.onnx"}}, "filename");
  refused("decoder", {{"filename", "/etc/passwd"}}, "filename");
  refused("decoder", {{"filename", 3}}, "filename");
  write("genai_config.json", "[1]");
  FRUGAL_EXPECT_ERROR(genai_model_info(path()), StatusCode::kInvalidArgument, "JSON object");
  write("genai_config.json", R"({"model": 3})");
  FRUGAL_EXPECT_ERROR(genai_model_info(path()), StatusCode::kInvalidArgument, "'model'");
  write("genai_config.json", "{");
  EXPECT_FALSE(genai_model_info(path()).ok());
}

TEST_F(GenaiFolderTest, TheGraphMustBeThere) {
  Json with_graph = model();
  with_graph["decoder"] = {{"filename", "model.onnx"}};
  write_config(with_graph);
  FRUGAL_EXPECT_ERROR(genai_model_info(path()), StatusCode::kNotFound,
                      "there is no file 'model.onnx' in the folder");
  write("blob", "x");
  fs::create_symlink(path() / "blob", path() / "model.onnx");  // as model caches keep files
  FRUGAL_EXPECT_OK(genai_model_info(path()).status());
}

}  // namespace
}  // namespace frugal::format
