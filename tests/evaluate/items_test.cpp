#include "evaluate/items.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/shared_data.h"

namespace frugal::evaluate {
namespace {

using absl::StatusCode;

ClassificationItem a_classification() {
  return {"sst2/dev/3",  "positive", "negative", false, {"negative", "positive"},
          {-1.25, -2.5}, {1, 2}};
}

GenerationItem a_generation() {
  return {"shop/7", "Describe:", "A red lamp", {"A lamp"}, {"red", "oak"}, {true, false}, 0.5};
}

TEST(ItemsTest, ClassificationSurvivesAFile) {
  const frugal::test::TemporaryFolder folder;
  FRUGAL_ASSERT_OK(
      write_jsonl(folder.path() / "x.jsonl", to_json(std::vector{a_classification()})));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto lines, read_jsonl(folder.path() / "x.jsonl"));
  ASSERT_EQ(lines.size(), 1u);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const ClassificationItem item, classification_item(lines[0], "x"));
  EXPECT_EQ(item.id, "sst2/dev/3");
  EXPECT_EQ(item.predicted, "negative");
  EXPECT_FALSE(item.right);
  EXPECT_EQ(item.labels, a_classification().labels);
  EXPECT_EQ(item.scores, a_classification().scores);
  EXPECT_EQ(item.tokens, a_classification().tokens);
}

TEST(ItemsTest, GenerationSurvivesAFileEvenWithACutCharacter) {
  GenerationItem cut = a_generation();
  cut.generated = "caf\xc3";
  const frugal::test::TemporaryFolder folder;
  FRUGAL_ASSERT_OK(
      write_jsonl(folder.path() / "x.jsonl", to_json(std::vector{a_generation(), cut})));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto lines, read_jsonl(folder.path() / "x.jsonl"));
  ASSERT_EQ(lines.size(), 2u);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const GenerationItem item, generation_item(lines[0], "x"));
  EXPECT_EQ(item.attributes, a_generation().attributes);
  EXPECT_EQ(item.mentioned, a_generation().mentioned);
  EXPECT_EQ(item.coverage, 0.5);
  EXPECT_EQ(item.references, a_generation().references);
  EXPECT_EQ(generation_item(lines[1], "x")->generated, "caf\xef\xbf\xbd");
}

TEST(ItemsTest, DamagedLinesAreNamed) {
  base::Json json = to_json(a_classification());
  json.erase("label");
  FRUGAL_EXPECT_ERROR(classification_item(json, "line 3"), StatusCode::kInvalidArgument,
                      "line 3: the key 'label'");
  json = to_json(a_classification());
  json["scores"] = base::Json::array({1.0});
  FRUGAL_EXPECT_ERROR(classification_item(json, "x"), StatusCode::kInvalidArgument,
                      "2 and 1 entries");
  json = to_json(a_generation());
  json["mentioned"] = base::Json::array({1, 2});
  FRUGAL_EXPECT_ERROR(generation_item(json, "x"), StatusCode::kInvalidArgument, "mentioned");
  json["mentioned"] = true;
  FRUGAL_EXPECT_ERROR(generation_item(json, "x"), StatusCode::kInvalidArgument, "must be a list");
}

// A text that was asked for nothing in particular covers nothing: that is unknown, not zero.
TEST(ItemsTest, CoverageIsUnknownWithoutAttributes) {
  GenerationItem plain = a_generation();
  plain.attributes.clear();
  plain.mentioned.clear();
  plain.coverage = kNaN;
  const base::Json json = to_json(plain);
  EXPECT_TRUE(json.at("coverage").is_null());
  FRUGAL_ASSERT_OK_AND_ASSIGN(const GenerationItem item, generation_item(json, "x"));
  EXPECT_TRUE(std::isnan(item.coverage));
}

TEST(ItemsTest, WindowsCarrySumAndTokens) {
  Perplexity perplexity;
  perplexity.windows = 2;
  perplexity.scored_tokens = 14;
  perplexity.window_nll = {10.5, 12.0};
  perplexity.window_tokens = {7, 7};
  perplexity.window_document = {0, 3};
  const auto items = window_items(perplexity);
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[1].dump(), R"({"window":1,"document":3,"nll":12.0,"tokens":7})");
  Divergence divergence;
  divergence.items = {{.kl = 0.5, .same_top = 1.0}};
  EXPECT_EQ(window_items(divergence).at(0).at("kl"), 0.5);
}

}  // namespace
}  // namespace frugal::evaluate
