#include "artifact/gguf/gguf_tokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "artifact/gguf/gguf_model.h"
#include "base/file.h"
#include "base/json.h"
#include "support/shared_data.h"
#include "support/toy_checkpoint.h"

namespace frugal::artifact {
namespace {

using namespace frugal::test;

// A toy whose tokenizer files say what a test writes over them.
class GgufTokenizer : public ::testing::Test {
 protected:
  void SetUp() override { const format::Checkpoint made = toy_checkpoint(folder(), {.layers = 1}); }
  std::filesystem::path folder() const { return folder_.path() / "toy"; }
  void edit(const char* file, const std::function<void(base::Json&)>& change) {
    base::Json json = std::filesystem::exists(folder() / file)
                          ? base::read_json(folder() / file).value()
                          : base::Json::object();
    change(json);
    FRUGAL_ASSERT_OK(base::write_file_atomically(folder() / file, json.dump()));
  }
  absl::Status check(const GgufOptions& options = {}) {
    FRUGAL_ASSIGN_OR_RETURN(const format::Checkpoint checkpoint,
                            format::Checkpoint::open(folder()));
    format::ModelInfo info;
    info.name = "toy";
    info.config = checkpoint.config();
    info.has_tokenizer = true;
    info.tokenizer_folder = folder();
    return check_gguf(info, options);
  }
  absl::StatusOr<format::GgufFile> written(const GgufOptions& options = {}) {
    FRUGAL_ASSIGN_OR_RETURN(const format::Checkpoint checkpoint,
                            format::Checkpoint::open(folder()));
    FRUGAL_ASSIGN_OR_RETURN(const auto tokenizer, text::load_tokenizer(folder()));
    FRUGAL_RETURN_IF_ERROR(
        write_gguf(checkpoint, *tokenizer, "toy", folder_.path() / "toy.gguf", options));
    return format::GgufFile::open(folder_.path() / "toy.gguf");
  }
  test::TemporaryFolder folder_;
};

TEST_F(GgufTokenizer, CheckNamesAPieceWithoutARow) {
  edit("added_tokens.json", [](base::Json& json) { json["<pad>"] = kToyVocabulary; });
  FRUGAL_EXPECT_ERROR(check(), absl::StatusCode::kInvalidArgument, "'<pad>' (id 280, from ");
  FRUGAL_EXPECT_ERROR(check(), absl::StatusCode::kInvalidArgument, "added_tokens.json) has no row");
  FRUGAL_EXPECT_ERROR(written(), absl::StatusCode::kInvalidArgument, "pad the embedding");
}

TEST_F(GgufTokenizer, CheckNamesAnUnknownPatternAndAnOptionHelps) {
  edit("tokenizer.json", [](base::Json& json) {
    json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "\\w{1,7}|.";
  });
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  for (const char* part : {"w{1,7}|.", "gpt-2, llama-bpe, qwen2", "pre_tokenizer (one of default"})
    FRUGAL_EXPECT_ERROR(check(), kInvalid, part);
  FRUGAL_EXPECT_ERROR(written(), kInvalid, "w{1,7}|.");
  FRUGAL_EXPECT_ERROR(check({.pre_tokenizer = "tekkn"}), kInvalid, "did you mean 'tekken'?");
  FRUGAL_EXPECT_OK(check({.pre_tokenizer = "tekken"}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::GgufFile file, written({.pre_tokenizer = "tekken"}));
  EXPECT_EQ(std::get<std::string>(*file.find("tokenizer.ggml.pre")), "tekken");
}

TEST_F(GgufTokenizer, HoldsTheEndOfTurnBesideTheEndOfText) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto before, text::load_tokenizer(folder()));
  const text::Vocabulary& pieces = before->vocabulary();
  const int64_t other = 7;
  edit("generation_config.json", [&](base::Json& json) { json["eos_token_id"] = {0, other}; });
  edit("config.json", [](base::Json& json) { json["eos_token_id"] = 0; });
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::GgufFile ordinary, written());
  EXPECT_EQ(std::get<uint32_t>(*ordinary.find("tokenizer.ggml.eos_token_id")), 0u);
  EXPECT_EQ(ordinary.find("tokenizer.ggml.eot_token_id"), nullptr);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, format::Checkpoint::open(folder()));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, text::load_tokenizer(folder()));
  ASSERT_EQ(gguf_losses(checkpoint.config(), *tokenizer).size(), 1u);
  EXPECT_NE(gguf_losses(checkpoint.config(), *tokenizer)[0].find(pieces.pieces[other]),
            std::string::npos);
  edit("tokenizer.json", [&](base::Json& json) {
    base::Json token = json["added_tokens"][0];
    token["id"] = other;
    token["content"] = pieces.pieces[other];
    json["added_tokens"].push_back(token);  // a control piece
  });
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::GgufFile turns, written());
  EXPECT_EQ(std::get<uint32_t>(*turns.find("tokenizer.ggml.eot_token_id")), 7u);
}

// Gemma's runs of spaces: "▁▁" in tokenizer.json, spaces in files of llama.cpp's converter.
TEST_F(GgufTokenizer, UserDefinedPiecesAreSpelledWithSpaces) {
  edit("tokenizer_config.json", [](base::Json& json) {
    for (const char* key : {"bos_token", "eos_token", "pad_token"}) json.erase(key);
  });
  edit("tokenizer.json", [](base::Json& json) {
    json = base::Json::parse(R"({
      "added_tokens": [{"id": 0, "content": "<unk>", "special": true},
                       {"id": 3, "content": "▁▁", "special": false}],
      "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
      "decoder": {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
      "model": {"type": "BPE", "unk_token": "<unk>", "merges": [["▁", "▁"], ["▁", "a"]],
                "vocab": {"<unk>": 0, "▁": 1, "a": 2, "▁▁": 3, "▁a": 4}}})");
  });
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::GgufFile file, written());
  const auto& pieces = std::get<std::vector<std::string>>(*file.find("tokenizer.ggml.tokens"));
  EXPECT_EQ(pieces[1], "▁");
  EXPECT_EQ(pieces[3], "  ");
  EXPECT_EQ(pieces[4], "▁a");
  const auto& types = std::get<std::vector<int32_t>>(*file.find("tokenizer.ggml.token_type"));
  EXPECT_EQ(types[3], static_cast<int32_t>(text::PieceType::kUserDefined));
}

TEST_F(GgufTokenizer, UnigramTokenizersAreRefused) {
  edit("tokenizer.json", [](base::Json& json) {
    json = base::Json::parse(R"({
      "decoder": {"type": "Metaspace"}, "pre_tokenizer": {"type": "Metaspace"},
      "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0], ["▁a", -1]]}})");
  });
  edit("tokenizer_config.json", [](base::Json& json) {
    for (const char* key : {"bos_token", "eos_token", "pad_token"}) json.erase(key);
  });
  FRUGAL_EXPECT_ERROR(check(), absl::StatusCode::kUnimplemented, "unigram tokenizers for T5 only");
}

TEST_F(GgufTokenizer, AWordLessConfigLeavesIdsOut) {
  edit("config.json",
       [](base::Json& json) { json["bos_token_id"] = json["eos_token_id"] = nullptr; });
  edit("tokenizer_config.json", [](base::Json& json) {
    for (const char* key : {"bos_token", "eos_token", "pad_token"}) json.erase(key);
  });
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::GgufFile file, written());
  for (const char* key : {"bos_token_id", "eos_token_id", "eot_token_id", "padding_token_id"})
    EXPECT_EQ(file.find(std::string("tokenizer.ggml.") + key), nullptr) << key;
}

}  // namespace
}  // namespace frugal::artifact
