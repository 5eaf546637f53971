#include "text/pre_tokenizer.h"

#include "support/shared_data.h"
#include "text/definition.h"

namespace frugal::text {
namespace {

using base::Json;

std::vector<std::string> split(const PreTokenizer& pre_tokenizer, std::string_view text,
                               bool at_start = true) {
  std::vector<std::string> out;
  const auto place = at_start ? PreTokenizer::Place::kStart : PreTokenizer::Place::kInside;
  pre_tokenizer.split(text, place, [&](std::string_view part) { out.emplace_back(part); });
  return out;
}

TEST(PreTokenizer, PatternsDifferInDigitsAndCapitals) {
  const auto cut = [](const char* name) {
    const auto pre_tokenizer =
        PreTokenizer::parse(byte_level_pre_tokenizer(pre_tokenizer_pattern(name)));
    return split(*pre_tokenizer, "It'S 1234 HelloWorld");
  };
  using Parts = std::vector<std::string>;
  EXPECT_EQ(cut("gpt-2"), (Parts{"It", "'", "S", " 1234", " HelloWorld"}));
  EXPECT_EQ(cut("llama-bpe"), (Parts{"It", "'S", " ", "123", "4", " HelloWorld"}));
  EXPECT_EQ(cut("qwen2"), (Parts{"It", "'S", " ", "1", "2", "3", "4", " HelloWorld"}));
  EXPECT_EQ(cut("gpt-4o"), (Parts{"It'S", " ", "123", "4", " Hello", "World"}));
}

TEST(PreTokenizer, NamesFollowFromTheParsedComponents) {
  const auto name = [](const Json& json) { return PreTokenizer::parse(json)->llamacpp_name(); };
  for (const char* known : {"gpt-2", "llama-bpe", "qwen2", "gpt-4o"}) {
    EXPECT_EQ(name(byte_level_pre_tokenizer(pre_tokenizer_pattern(known))), known);
  }
  const Json plain = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
  EXPECT_EQ(name(plain), "gpt-2");
  const Json digits = {{"type", "Digits"}, {"individual_digits", true}};
  EXPECT_EQ(name({{"type", "Sequence"}, {"pretokenizers", Json::array({digits, plain})}}),
            "smollm");
  EXPECT_EQ(name({{"type", "ByteLevel"}}), "");  // a space in front: not what llama.cpp calls gpt-2
  EXPECT_EQ(name(byte_level_pre_tokenizer("\\p{L}+|.")), "");
  EXPECT_EQ(name(nullptr), "");
  Json inverted = byte_level_pre_tokenizer(pre_tokenizer_pattern("qwen2"));
  inverted["pretokenizers"][0]["invert"] = true;
  EXPECT_EQ(name(inverted), "");
}

TEST(PreTokenizer, EveryNameThatIsWrittenIsRead) {
  for (const std::string& name : named_pre_tokenizers()) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const NamedPreTokenizer named, named_pre_tokenizer(name));
    EXPECT_EQ(PreTokenizer::parse(named.component)->llamacpp_name(), name);
    EXPECT_EQ(named.ignore_merges, name == "llama-bpe");
  }
  FRUGAL_ASSERT_OK_AND_ASSIGN(const NamedPreTokenizer other, named_pre_tokenizer("starcoder"));
  EXPECT_EQ(PreTokenizer::parse(other.component)->llamacpp_name(), "smollm");
  FRUGAL_EXPECT_ERROR(named_pre_tokenizer("default"), absl::StatusCode::kUnimplemented,
                      "pre-tokenizer 'default' is not known; frugal reads gpt-2, ");
}

TEST(PreTokenizer, WordsAndSigns) {
  const auto cut = [](const Json& json) {
    return split(*PreTokenizer::parse(json), "Hey friend!  How-are_you?");
  };
  using Parts = std::vector<std::string>;
  EXPECT_EQ(cut({{"type", "Whitespace"}}),
            (Parts{"Hey", "friend", "!", "How", "-", "are_you", "?"}));
  EXPECT_EQ(cut({{"type", "WhitespaceSplit"}}), (Parts{"Hey", "friend!", "How-are_you?"}));
  EXPECT_EQ(cut({{"type", "BertPreTokenizer"}}),
            (Parts{"Hey", "friend", "!", "How", "-", "are", "_", "you", "?"}));
  EXPECT_EQ(cut({{"type", "Punctuation"}}),
            (Parts{"Hey friend", "!", "  How", "-", "are", "_", "you", "?"}));
  EXPECT_EQ(cut({{"type", "CharDelimiterSplit"}, {"delimiter", "e"}}),
            (Parts{"H", "y fri", "nd!  How-ar", "_you?"}));
  FRUGAL_EXPECT_ERROR(PreTokenizer::parse({{"type", "CharDelimiterSplit"}, {"delimiter", "ab"}}),
                      absl::StatusCode::kInvalidArgument, "not one character");
}

TEST(PreTokenizer, ManyStepsAreRefused) {
  const Json steps(100, Json{{"type", "WhitespaceSplit"}});
  FRUGAL_EXPECT_ERROR(PreTokenizer::parse({{"type", "Sequence"}, {"pretokenizers", steps}}),
                      absl::StatusCode::kInvalidArgument, "more than 64 steps");
}

TEST(PreTokenizer, NamesWhatItDoesNotKnow) {
  FRUGAL_EXPECT_ERROR(PreTokenizer::parse({{"type", "UnicodeScripts"}}),
                      absl::StatusCode::kUnimplemented, "UnicodeScripts");
  FRUGAL_EXPECT_ERROR(
      PreTokenizer::parse(
          {{"type", "Split"}, {"pattern", {{"Regex", "("}}}, {"behavior", "Isolated"}}),
      absl::StatusCode::kInvalidArgument, "regular expression");
  FRUGAL_EXPECT_ERROR(
      PreTokenizer::parse({{"type", "Split"}, {"pattern", {{"String", "a"}}}, {"behavior", "Odd"}}),
      absl::StatusCode::kInvalidArgument, "Odd");
  FRUGAL_EXPECT_ERROR(PreTokenizer::parse({{"type", "Metaspace"}, {"prepend_scheme", "last"}}),
                      absl::StatusCode::kInvalidArgument, "prepend_scheme");
}

TEST(PreTokenizer, MetaspaceFirstIsTheStartOfTheInputOnly) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const auto first, PreTokenizer::parse({{"type", "Metaspace"}, {"prepend_scheme", "first"}}));
  EXPECT_EQ(split(first, "a b"), (std::vector<std::string>{"▁a", "▁b"}));
  EXPECT_EQ(split(first, "a b", false), (std::vector<std::string>{"a", "▁b"}));
}

}  // namespace
}  // namespace frugal::text
