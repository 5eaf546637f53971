#include "support/shared_data.h"
#include "text/definition.h"

namespace frugal::text {
namespace {

using base::Json;

absl::Status parse(const Json& json, std::vector<TokenId>& prefix, std::vector<TokenId>& suffix) {
  return parse_post_processor(json, 10, prefix, suffix);
}

TEST(PostProcessor, TemplatesPutIdsAroundTheText) {
  std::vector<TokenId> prefix, suffix;
  FRUGAL_ASSERT_OK(parse(bos_template("<s>", 3), prefix, suffix));
  EXPECT_EQ(prefix, (std::vector<TokenId>{3}));
  EXPECT_TRUE(suffix.empty());
}

TEST(PostProcessor, TemplatesEndATextToo) {
  std::vector<TokenId> prefix, suffix;
  FRUGAL_ASSERT_OK(
      parse(affix_template(NamedToken{"<s>", 3}, NamedToken{"</s>", 4}), prefix, suffix));
  EXPECT_EQ(prefix, (std::vector<TokenId>{3}));
  EXPECT_EQ(suffix, (std::vector<TokenId>{4}));
}

TEST(PostProcessor, SequencesNest) {
  const Json list =
      Json::array({Json{{"type", "ByteLevel"}}, bos_template("<a>", 1), bos_template("<b>", 2)});
  std::vector<TokenId> prefix, suffix;
  FRUGAL_ASSERT_OK(parse({{"type", "Sequence"}, {"processors", list}}, prefix, suffix));
  EXPECT_EQ(prefix, (std::vector<TokenId>{2, 1}));  // the later one goes around
}

TEST(PostProcessor, BertsAndRobertasEnds) {
  for (const char* type : {"BertProcessing", "RobertaProcessing"}) {
    std::vector<TokenId> prefix, suffix;
    FRUGAL_ASSERT_OK(
        parse({{"type", type}, {"cls", {"<s>", 1}}, {"sep", {"</s>", 2}}}, prefix, suffix));
    EXPECT_EQ(prefix, (std::vector<TokenId>{1}));
    EXPECT_EQ(suffix, (std::vector<TokenId>{2}));
  }
}

TEST(PostProcessor, RefusesWhatDoesNotFit) {
  std::vector<TokenId> prefix, suffix;
  FRUGAL_EXPECT_ERROR(parse(bos_template("<s>", 10), prefix, suffix),
                      absl::StatusCode::kInvalidArgument, "has the id 10");
  FRUGAL_EXPECT_ERROR(parse({{"type", "Other"}}, prefix, suffix), absl::StatusCode::kUnimplemented,
                      "'Other'");
  const Json far = {{"type", "BertProcessing"}, {"cls", {"<s>", 1}}, {"sep", {"</s>", 10}}};
  FRUGAL_EXPECT_ERROR(parse(far, prefix, suffix), absl::StatusCode::kInvalidArgument,
                      "expected a token and its id below 10");
  Json without_text = bos_template("<s>", 1);
  without_text["single"].erase(1);
  FRUGAL_EXPECT_ERROR(parse(without_text, prefix, suffix), absl::StatusCode::kInvalidArgument,
                      "leaves the text out");
  Json unnamed = bos_template("<s>", 1);
  unnamed["special_tokens"] = Json::object();
  FRUGAL_EXPECT_ERROR(parse(unnamed, prefix, suffix), absl::StatusCode::kInvalidArgument, "<s>");
}

}  // namespace
}  // namespace frugal::text
