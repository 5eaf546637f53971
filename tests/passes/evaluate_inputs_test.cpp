#include <gtest/gtest.h>

#include "base/file.h"
#include "passes/evaluate/inputs.h"
#include "storefront_model.h"
#include "support/shared_data.h"

namespace frugal::passes {
namespace {

class EvaluateInputs : public ::testing::Test {
 protected:
  LoadedModel loaded() const {
    return *load_model(*format::Checkpoint::open(model_), at::Device(at::kCPU));
  }

  const test::TemporaryFolder folder_;
  const std::filesystem::path model_ = write_storefront_model(folder_.path() / "model", 1);
};

TEST_F(EvaluateInputs, ExamplesGoWhereTheyAreAskedFor) {
  const LoadedModel model = loaded();
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const ExampleTask labels,
      load_example_task("labels", storefront("sentiment", 8), *model.tokenizer, 3));
  EXPECT_EQ(labels.classification.size(), 3u);
  EXPECT_TRUE(labels.generation.empty());
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const ExampleTask texts,
      load_example_task("texts", storefront("description", 4), *model.tokenizer, 0));
  EXPECT_EQ(texts.generation.size(), 4u);
}

TEST_F(EvaluateInputs, AnExampleThatAsksForNothingIsNamed) {
  const LoadedModel model = loaded();
  FRUGAL_ASSERT_OK(base::write_file_atomically(folder_.path() / "plain.txt", "Only a text."));
  text::DataSource plain;
  plain.text = {(folder_.path() / "plain.txt").string()};
  FRUGAL_EXPECT_ERROR(load_example_task("plain", plain, *model.tokenizer, 0),
                      absl::StatusCode::kInvalidArgument, "task 'plain': example '");
}

// Every part of what is asked is in the hash.
TEST(EvaluateQuestions, OtherQuestionsHaveAnotherHash) {
  const text::Example plain{.id = "1", .prompt = "p", .completion = "c"};
  std::vector<text::Example> others(5, plain);
  others[0].prompt = "q";
  others[1].label_texts = {"a"};
  others[2].attributes = {"a"};
  others[3].chat = true;
  others[4].id = "2";
  for (const text::Example& other : others)
    EXPECT_NE(hash_of_questions({other}), hash_of_questions({plain}));
  EXPECT_NE(hash_of_questions({plain, plain}), hash_of_questions({plain}));
  EXPECT_EQ(hash_of_questions({plain}), hash_of_questions({plain}));
}

}  // namespace
}  // namespace frugal::passes
