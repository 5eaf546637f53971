#include "text/tokenizer_json.h"

#include "support/shared_data.h"

namespace frugal::text {
namespace {

using base::Json;

Json toy() {
  return Json::parse(
      R"({"added_tokens": [{"id": 3, "content": "<s>", "special": true}], "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel"}, "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})");
}

TEST(TokenizerJson, MergesComeInTwoSpellings) {
  for (const char* merges : {R"(["a b"])", R"([["a", "b"]])"}) {
    Json json = toy();
    json["model"]["merges"] = Json::parse(merges);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const TokenizerDefinition definition,
                                parse_tokenizer_json(json, "toy"));
    EXPECT_EQ(definition.merges, (std::vector<std::pair<std::string, std::string>>{{"a", "b"}}));
    EXPECT_EQ(definition.pieces, (std::vector<std::string>{"a", "b", "ab"}));
    ASSERT_EQ(definition.added.size(), 1u);
    EXPECT_FALSE(definition.added[0].normalized);  // Hugging Face's default for special tokens
  }
}

TEST(TokenizerJson, SaysWhatIsWrong) {
  const auto parse = [](auto change) {
    Json json = toy();
    change(json);
    return parse_tokenizer_json(json, "toy").status();
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  constexpr auto kUnknown = absl::StatusCode::kUnimplemented;
  FRUGAL_EXPECT_ERROR(parse([](Json& j) { j.erase("model"); }), kInvalid, "no 'model'");
  FRUGAL_EXPECT_ERROR(parse([](Json& j) { j["model"]["type"] = "WordPiece"; }), kUnknown,
                      "'WordPiece'");
  FRUGAL_EXPECT_ERROR(parse([](Json& j) { j["model"]["dropout"] = 0.1; }), kUnknown, "dropout");
  FRUGAL_EXPECT_ERROR(parse([](Json& j) { j["model"]["end_of_word_suffix"] = "</w>"; }), kUnknown,
                      "end_of_word_suffix");
  FRUGAL_EXPECT_ERROR(parse([](Json& j) { j["model"]["merges"] = {"a b c"}; }), kInvalid,
                      "merge 0");
  FRUGAL_EXPECT_ERROR(parse([](Json& j) { j["model"]["vocab"]["x"] = -1; }), kInvalid,
                      "'x' has the id -1");
  FRUGAL_EXPECT_ERROR(parse([](Json& j) { j["model"]["vocab"]["x"] = 1; }), kInvalid,
                      "id 1 belongs to 'b' and to 'x'");
  FRUGAL_EXPECT_ERROR(parse([](Json& j) { j["model"]["vocab"]["x"] = 1000000000; }), kInvalid,
                      "1000000000");
  FRUGAL_EXPECT_ERROR(parse([](Json& j) { j["model"]["vocab"][""] = 3; }), kInvalid, "empty");
  FRUGAL_EXPECT_ERROR(parse([](Json& j) { j["added_tokens"] = 3; }), kInvalid, "added_tokens");
  FRUGAL_EXPECT_ERROR(parse([](Json& j) { j["added_tokens"][0].erase("content"); }), kInvalid,
                      "content");
}

}  // namespace
}  // namespace frugal::text
