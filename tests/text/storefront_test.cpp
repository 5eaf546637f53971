#include "text/storefront.h"

#include <cmath>
#include <map>
#include <set>

#include "base/hash.h"
#include "support/shared_data.h"
#include "text/storefront/plan.h"

namespace frugal::text {
namespace {

std::string all_text(const std::vector<Example>& examples) {
  std::string text;
  for (const Example& example : examples)
    text += example.id + "\n" + example.prompt + example.completion + "\n";
  return text;
}

std::set<std::string> words_of(std::string_view text) {
  std::set<std::string> words;
  std::string word;
  for (const char c : text) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      word.push_back(c);
    } else if (!word.empty()) {
      words.insert(std::exchange(word, {}));
    }
  }
  return words;
}

TEST(Storefront, TheSameSeedGivesTheSameTextsEverywhere) {
  // Pinned: whoever changes the texts raises kStorefrontVersion, or old caches would be taken for
  // new ones.
  EXPECT_EQ(kStorefrontVersion, "storefront-2");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto examples, storefront_examples({"test", "", 0, 1}));
  EXPECT_EQ(base::sha256(all_text(examples)),
            "491077e09060a51943723b4722ff6f1c0446c56401c9d040da1401a0f759122b");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto other, storefront_examples({"test", "", 0, 2}));
  EXPECT_NE(all_text(other), all_text(examples));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto fewer, storefront_examples({"test", "", 10, 1}));
  EXPECT_TRUE(all_text(examples).starts_with(all_text(fewer)));
}

TEST(Storefront, SplitsHaveTheirSizesAndShareNothing) {
  const std::map<std::string, size_t> sizes = {
      {"train", 20000}, {"calibration", 512}, {"validation", 500}, {"test", 1000}};
  std::set<std::string> prompts;
  size_t total = 0;
  for (const auto& [split, size] : sizes) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto examples, storefront_examples({split, "", 0, 1}));
    EXPECT_EQ(examples.size(), size);
    for (const Example& example : examples) prompts.insert(example.prompt);
    total += size;
  }
  EXPECT_EQ(prompts.size(), total);
  // Also across seeds: the plan decides, not the seed.
  for (const char* split : {"calibration", "validation", "test"}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto examples,
                                storefront_examples({split, "description", 500, 99}));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto train,
                                storefront_examples({"train", "description", 0, 1}));
    std::set<std::string> seen;
    for (const Example& example : train) seen.insert(example.prompt);
    for (const Example& example : examples)
      EXPECT_FALSE(seen.contains(example.prompt)) << example.prompt;
  }
}

TEST(Storefront, LabelsAreBalanced) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto examples,
                              storefront_examples({"test", "sentiment", 0, 1}));
  std::map<std::string, int> counts;
  for (const Example& example : examples) {
    EXPECT_EQ(example.label, example.completion);
    EXPECT_EQ(example.label_texts, (std::vector<std::string>{" negative", " positive"}));
    EXPECT_TRUE(example.prompt.starts_with("Review: ") && example.prompt.ends_with("\nSentiment:"));
    ++counts[example.label];
  }
  EXPECT_EQ(counts, (std::map<std::string, int>{{" negative", 500}, {" positive", 500}}));
}

// A reader that only looks for telling words must be wrong often; the pipelines compare models that
// do better.
TEST(Storefront, WordsAloneDoNotGiveTheLabel) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto examples,
                              storefront_examples({"train", "sentiment", 4000, 1}));
  std::map<std::string, std::pair<int, int>> words;  // positive and negative reviews that hold it
  for (const Example& example : examples) {
    const bool positive = example.label == " positive";
    for (const std::string& word : words_of(example.prompt)) {
      ++(positive ? words[word].first : words[word].second);
    }
  }
  // Naive Bayes with these counts, on the very reviews that it counted.
  int right = 0;
  for (const Example& example : examples) {
    double log_odds = 0;
    for (const std::string& word : words_of(example.prompt)) {
      log_odds += std::log((words[word].first + 1.0) / (words[word].second + 1.0));
    }
    right += (log_odds > 0) == (example.label == " positive");
  }
  EXPECT_LT(right, 4000 * 85 / 100);
  EXPECT_GT(right, 4000 * 60 / 100);  // but they say enough to begin with
}

TEST(Storefront, MixedSplitsHaveThreeReviewsToADescription) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto examples, storefront_examples({"calibration", "", 40, 1}));
  int reviews = 0;
  for (const Example& example : examples) reviews += example.label.empty() ? 0 : 1;
  EXPECT_EQ(reviews, 30);
}

TEST(Storefront, DescriptionsMentionEveryAttribute) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto examples,
                              storefront_examples({"validation", "description", 0, 1}));
  for (const Example& example : examples) {
    ASSERT_EQ(example.attributes.size(), 4u);
    for (const std::string& attribute : example.attributes) {
      EXPECT_THAT(example.prompt, ::testing::HasSubstr(attribute));
      EXPECT_THAT(example.completion, ::testing::HasSubstr(attribute));
    }
    EXPECT_TRUE(example.completion.starts_with(" ") && example.completion.ends_with("."));
  }
}

TEST(Storefront, ExamplesAreShort) {
  std::vector<std::string> texts;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto examples, storefront_examples({"train", "", 4000, 1}));
  for (const Example& example : examples) texts.push_back(example.prompt + example.completion);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, train_bpe(texts, {}));
  EXPECT_LE(tokenizer->size(), 1024);
  for (const Example& example : examples) {
    const EncodedExample encoded = encode_example(*tokenizer, example.prompt, example.completion);
    EXPECT_LE(encoded.ids.size(), 62u) << example.prompt;  // with BOS and EOS at most 64
    EXPECT_LE(encoded.ids.size() - encoded.prompt_tokens, 40u) << example.completion;
    if (!example.label.empty()) {
      EXPECT_EQ(encoded.ids.size() - encoded.prompt_tokens, 1u);
    }
  }
}

TEST(StorefrontPlan, WritesArticlesAndCapitals) {
  EXPECT_EQ(storefront::with_article("oak table"), "an oak table");
  EXPECT_EQ(storefront::with_article("blue lamp"), "a blue lamp");
  EXPECT_EQ(storefront::capitalized("an oak table"), "An oak table");
  EXPECT_EQ(storefront::capitalized("Already"), "Already");
  EXPECT_EQ(storefront::capitalized("4 chairs"), "4 chairs");
  EXPECT_EQ(storefront::capitalized(""), "");
}

// Equal plans are in one split, and so what a plan says must be all that a prompt can tell.
TEST(StorefrontPlan, OnePromptHasOnePlan) {
  base::RandomStream random(5, "plans");
  std::map<std::string, std::string> plan_of;
  for (int i = 0; i < 3000; ++i) {
    for (const storefront::Drawn& drawn :
         {storefront::draw_review(i % 2 == 0, random), storefront::draw_description(random)}) {
      ASSERT_FALSE(drawn.plan.empty());
      const auto [found, inserted] = plan_of.emplace(drawn.example.prompt, drawn.plan);
      EXPECT_EQ(found->second, drawn.plan) << drawn.example.prompt;
    }
  }
}

TEST(Storefront, RefusesUnknownNames) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  FRUGAL_EXPECT_ERROR(storefront_examples({"tests", "", 0, 1}), kInvalid, "did you mean 'test'");
  FRUGAL_EXPECT_ERROR(storefront_examples({"", "", 0, 1}), kInvalid, "split");
  FRUGAL_EXPECT_ERROR(storefront_examples({"test", "sentimental", 0, 1}), kInvalid, "sentiment");
  FRUGAL_EXPECT_ERROR(storefront_examples({"calibration", "description", 50000, 1}), kInvalid,
                      "exhausted");
}

}  // namespace
}  // namespace frugal::text
