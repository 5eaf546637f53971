#include "passes/common/text_checks.h"

#include <gmock/gmock.h>

#include "passes/fake_context.h"
#include "support/toy_checkpoint.h"

namespace frugal::passes {
namespace {

using namespace frugal::test;

class TextChecks : public testing::Test {
 protected:
  TextChecks() {
    const std::string text = toy_text();
    tokenizer_ = text::train_bpe({&text, 1}, {.vocabulary_size = kToyVocabulary}).value();
  }
  text::DataSource toy(int64_t words) const {
    text::DataSource source;
    source.text = {write_toy_text(folder_.path(), words).string()};
    return source;
  }
  TemporaryFolder folder_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
};

TEST_F(TextChecks, ATokenizerThatIsMadeLaterIsNone) {
  pass::ModelInfo model;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto none, planned_tokenizer(model, "prune"));
  EXPECT_EQ(none, nullptr);
}

TEST_F(TextChecks, ATokenizerMustFitTheEmbedding) {
  FRUGAL_ASSERT_OK(text::save_tokenizer(*tokenizer_, folder_.path()));
  pass::ModelInfo model;
  model.tokenizer_folder = folder_.path();
  model.config.vocabulary_size = kToyVocabulary;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto found, planned_tokenizer(model, "prune"));
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->vocabulary().pieces, tokenizer_->vocabulary().pieces);
  model.config.vocabulary_size = kToyVocabulary - 1;
  const auto large = planned_tokenizer(model, "prune");
  EXPECT_FALSE(large.ok());
  EXPECT_THAT(std::string(large.status().message()), testing::HasSubstr("prune"));
  model.tokenizer_folder = folder_.path() / "absent";
  EXPECT_FALSE(planned_tokenizer(model, "prune").ok());
}

TEST_F(TextChecks, ATextFillsAWindowOrDoesNot) {
  FRUGAL_EXPECT_OK(check_fills_window(toy(200), tokenizer_.get(), 64, "prune: calibration"));
  const absl::Status few = check_fills_window(toy(10), tokenizer_.get(), 64, "prune: calibration");
  EXPECT_EQ(few.code(), absl::StatusCode::kInvalidArgument) << few;
  EXPECT_THAT(std::string(few.message()), testing::StartsWith("prune: calibration: "));
  // Nothing can be said, or nothing is asked.
  FRUGAL_EXPECT_OK(check_fills_window(toy(10), nullptr, 64, "what"));
  FRUGAL_EXPECT_OK(check_fills_window(toy(10), tokenizer_.get(), 0, "what"));
}

TEST_F(TextChecks, AChatNeedsATemplate) {
  text::DataSource source;
  source.builtin = "storefront";
  source.split = "test";
  FRUGAL_EXPECT_OK(check_examples(source, nullptr, "evaluate"));
  source.chat = true;
  FRUGAL_EXPECT_ERROR(check_examples(source, nullptr, "train"), absl::StatusCode::kInvalidArgument,
                      "trained here has no chat template");
  FRUGAL_EXPECT_ERROR(check_examples(source, tokenizer_.get(), "evaluate"),
                      absl::StatusCode::kInvalidArgument, "evaluate: `chat: true` needs");
}

// Pieces of 64 bytes: the first 16 bytes a token hold too few of them, the whole text enough.
TEST_F(TextChecks, ATextOfLongPiecesIsReadToItsEnd) {
  const std::string word(64, 'a');
  std::string text;
  for (int i = 0; i < 100; ++i) text += word + "\n";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer,
                              text::train_bpe({&text, 1}, {.vocabulary_size = 270}));
  const int64_t count = static_cast<int64_t>(tokenizer->encode(text, false).size());
  ASSERT_LE(count, 300) << "a word and the end of its line are few tokens";
  std::ofstream(folder_.path() / "long.txt") << text;
  text::DataSource source;
  source.text = {(folder_.path() / "long.txt").string()};
  const int64_t length = count * 9 / 10;
  ASSERT_LT(16 * length, static_cast<int64_t>(text.size()));
  FRUGAL_EXPECT_OK(check_fills_window(source, tokenizer.get(), length, "what"));
  EXPECT_FALSE(check_fills_window(source, tokenizer.get(), 2 * count, "what").ok());
}

TEST_F(TextChecks, FewerWindowsThanAskedForAreSaid) {
  FakeRunContext context(folder_.path(), std::nullopt);
  const text::Windows windows = toy_windows(3, 8);
  for (const int64_t asked : {0, 2, 3}) warn_of_fewer_windows(context, "prune", windows, asked);
  EXPECT_TRUE(context.warnings.empty());
  warn_of_fewer_windows(context, "prune", windows, 4);
  EXPECT_THAT(
      context.warnings,
      testing::ElementsAre("prune: the text fills 3 windows of 8 tokens, 4 were asked for"));
}

}  // namespace
}  // namespace frugal::passes
