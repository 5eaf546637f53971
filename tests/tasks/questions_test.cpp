#include "tasks/questions.h"

#include "base/file.h"
#include "tasks/golden.h"

namespace frugal::tasks {
namespace {

using base::Json;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// Contexts and continuations of lm-evaluation-harness, byte by byte: templates, columns, includes,
// descriptions, delimiters, drawn and first examples, explicit ones, examples from the split
// itself, HellaSwag's preprocessing, stop sequences.
TEST(Questions, AreThoseOfLmEvaluationHarness) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto golden, test::load_golden());
  EXPECT_GE(golden.size(), 9u);
  for (const test::GoldenTask& task : golden) {
    SCOPED_TRACE(task.file);
    ASSERT_EQ(task.questions.size() * task.config.filters.size(),
              task.expected.at("samples").size());
    for (const Json& sample : task.expected.at("samples")) {
      const Question& question = task.questions.at(sample.at("doc_id").get<size_t>());
      const Json& arguments = sample.at("arguments");
      EXPECT_EQ(question.target, sample.at("target"));
      if (task.config.type == OutputType::kGenerateUntil) {
        EXPECT_EQ(Json(question.context), arguments.at(0).at(0));
        EXPECT_EQ(Json(task.config.generation.until), arguments.at(0).at(1).at("until"));
        continue;
      }
      ASSERT_EQ(question.continuations.size(), arguments.size());
      for (size_t i = 0; i < arguments.size(); ++i) {
        const bool rolling = task.config.type == OutputType::kRolling;
        EXPECT_EQ(Json(question.context), rolling ? Json("") : arguments.at(i).at(0));
        EXPECT_EQ(Json(question.continuations[i]), arguments.at(i).at(rolling ? 0 : 1));
      }
    }
  }
}

class QuestionsOfAFile : public ::testing::Test {
 protected:
  // The questions of a task about the documents {"q": "one", "a": 0, "b": true, "c": ["x", "y"]},
  // ...
  absl::StatusOr<std::vector<Question>> make(const std::string& fields,
                                             const QuestionOptions& options = {}) {
    const auto path = folder_.path();
    EXPECT_TRUE(base::write_file_atomically(
                    path / "d.jsonl",
                    "{\"q\": \"one\", \"a\": 0, \"b\": true, \"c\": [\"x\", \"y\"]}\n"
                    "{\"q\": \"two\", \"a\": 5, \"b\": true, \"c\": [\"x\"]}\n")
                    .ok());
    EXPECT_TRUE(base::write_file_atomically(
                    path / "t.yaml",
                    "task: t\ndataset_path: json\ndataset_kwargs: {data_files: {test: d.jsonl}}\n"
                    "test_split: test\n" +
                        fields)
                    .ok());
    FRUGAL_ASSIGN_OR_RETURN(const TaskConfig task, read_task(path / "t.yaml"));
    return make_questions(task, options);
  }
  test::TemporaryFolder folder_;
};

TEST_F(QuestionsOfAFile, KnowTheirDocumentsAndWhatIsRight) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const auto questions,
      make("output_type: multiple_choice\ndoc_to_text: q\ndoc_to_target: a\ndoc_to_choice: c\n"));
  ASSERT_EQ(questions.size(), 2u);
  EXPECT_EQ(questions[0].id, "t/test/0");
  EXPECT_EQ(questions[0].continuations, (std::vector<std::string>{" x", " y"}));
  EXPECT_EQ(questions[0].right, std::vector<int64_t>{0});
  EXPECT_TRUE(questions[1].right.empty());  // choice 5 of one: never right
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const auto first, make("output_type: multiple_choice\ndoc_to_text: q\ndoc_to_target: a\n"
                             "doc_to_choice: c\n",
                             {.limit = 1}));
  EXPECT_EQ(first.size(), 1u);
}

TEST_F(QuestionsOfAFile, TakeTruthsForChoicesThatAreThere) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const auto questions,
      make("output_type: multiple_choice\ndoc_to_text: q\ndoc_to_target: b\ndoc_to_choice: c\n"));
  EXPECT_EQ(questions[0].right, std::vector<int64_t>{1});
  EXPECT_TRUE(questions[1].right.empty());  // the second choice of one
  FRUGAL_EXPECT_ERROR(make("doc_to_text: q\ndoc_to_target: b\ndoc_to_choice: c\n"), kInvalid,
                      "t/test/1: the answer is choice true of 1");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto twice,
                              make("output_type: multiple_choice\ndoc_to_text: q\n"
                                   "doc_to_target: [x, x]\ndoc_to_choice: c\n"));
  EXPECT_EQ(twice[0].right, std::vector<int64_t>{0});
}

TEST_F(QuestionsOfAFile, SayWhichDocumentDoesNotFit) {
  FRUGAL_EXPECT_ERROR(make("doc_to_text: \"{{nothing}}\"\ndoc_to_target: q\n"), kInvalid,
                      "t/test/0: template 'doc_to_text': line 1, column 1: 'nothing' is undefined");
  FRUGAL_EXPECT_ERROR(make("doc_to_text: a\ndoc_to_target: q\n"), kInvalid,
                      "t/test/0: doc_to_text: the column holds 0, expected text");
  FRUGAL_EXPECT_ERROR(make("output_type: loglikelihood\ndoc_to_text: q\ndoc_to_target: a\n"),
                      kInvalid, "t/test/0: doc_to_target gives 0, expected text");
  FRUGAL_EXPECT_ERROR(make("output_type: multiple_choice\ndoc_to_text: q\ndoc_to_target: a\n"
                           "doc_to_choice: \"{{q}}\"\n"),
                      kInvalid, "t/test/0: doc_to_choice gives 'one', expected a list of texts");
  FRUGAL_EXPECT_ERROR(make("doc_to_text: q\ndoc_to_target: q\n", {.shots = 3}), kInvalid,
                      "3 examples are asked for, there are");
  FRUGAL_EXPECT_ERROR(make("doc_to_text: q\ndoc_to_target: a\n", {.shots = 1}), kInvalid,
                      "the answer of an example is");
}

TEST_F(QuestionsOfAFile, TakeShotsOfTheOptionsInTheirPlace) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const auto questions,
      make("doc_to_text: q\ndoc_to_target: q\nnum_fewshot: 7\nfewshot_config: {sampler: first_n}\n"
           "fewshot_split: test\n",
           {.shots = 1}));
  EXPECT_EQ(questions[0].context, "two two\n\none");
  EXPECT_EQ(questions[1].context, "one one\n\ntwo");
}

}  // namespace
}  // namespace frugal::tasks
