// Task files in evaluate: numbers, items, files of results, comparisons, and what is refused before
// any weight is read.
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "evaluate/task_items.h"
#include "model/decoder.h"
#include "passes/evaluate/evaluate_pass.h"
#include "passes/evaluate/task_files.h"
#include "passes/fake_context.h"
#include "support/shared_data.h"
#include "tensor/aten.h"
#include "text/tokenizer.h"

namespace frugal::passes {
namespace {

namespace fs = std::filesystem;
using absl::StatusCode;
using base::Json;

constexpr int64_t kVocabulary = 280;

fs::path write_task_model(const fs::path& folder, uint64_t seed) {
  fs::create_directories(folder);
  const std::vector<std::string> texts = {"Question: What is snow?\nAnswer: white",
                                          "the sea is salty"};
  const auto tokenizer = *text::train_bpe(texts, {.vocabulary_size = kVocabulary});
  EXPECT_TRUE(text::save_tokenizer(*tokenizer, folder).ok());
  const auto config = *architecture::parse_model_config({{"architectures", {"LlamaForCausalLM"}},
                                                         {"model_type", "llama"},
                                                         {"vocab_size", kVocabulary},
                                                         {"hidden_size", 32},
                                                         {"intermediate_size", 64},
                                                         {"num_hidden_layers", 1},
                                                         {"num_attention_heads", 4},
                                                         {"num_key_value_heads", 2},
                                                         {"max_position_embeddings", 1024},
                                                         {"rms_norm_eps", 1e-5},
                                                         {"rope_theta", 10000.0},
                                                         {"initializer_range", 0.3},
                                                         {"tie_word_embeddings", true},
                                                         {"bos_token_id", 0},
                                                         {"eos_token_id", 0}},
                                                        "small");
  EXPECT_TRUE(
      model::Decoder::create(config, seed, at::kCPU)->save(folder, format::DType::kF32).ok());
  return folder;
}

text::DataSource golden_task(const std::string& name) {
  const char* root = std::getenv("FRUGAL_SOURCE_DIR");
  text::DataSource source;
  source.task_file =
      (fs::path(root == nullptr ? "." : root) / "tests/golden/tasks" / (name + ".yaml")).string();
  EXPECT_TRUE(tasks::find_inputs(source).ok());
  return source;
}

class EvaluateTasksTest : public ::testing::Test {
 protected:
  EvaluateTasksTest()
      : model_(write_task_model(folder_.path() / "model", 1)),
        reference_(write_task_model(folder_.path() / "reference", 2)) {}

  FakeRunContext context() {
    FakeRunContext result(folder_.path(), *format::Checkpoint::open(model_));
    for (const char* name : {"choice", "math", "cloze", "pages", "first_n"})
      result.sources[name] = golden_task(name);
    result.models["teacher"] = reference_;
    return result;
  }
  static std::unique_ptr<pass::Pass> evaluate_pass(const Json& options) {
    auto made = make_evaluate_pass();
    set_options(*made, options);
    return made;
  }

  const test::TemporaryFolder folder_;
  const fs::path model_, reference_;
};

TEST_F(EvaluateTasksTest, GiveNumbersItemsAndResultFiles) {
  FakeRunContext context = this->context();
  FRUGAL_ASSERT_OK(evaluate_pass({{"tasks", {"choice", "math", "cloze", "pages"}}})->run(context));
  for (const char* name :
       {"choice/acc", "choice/acc_norm", "choice/acc_bytes", "choice/exact_match", "choice/chance",
        "choice/answer_log_likelihood", "math/exact_match,strict-match",
        "math/exact_match,flexible-extract", "cloze/perplexity", "cloze/acc",
        "pages/word_perplexity", "pages/byte_perplexity", "pages/bits_per_byte"}) {
    EXPECT_TRUE(context.value(name).has_value()) << name;
  }
  // Three questions of three choices and one of two.
  EXPECT_DOUBLE_EQ(*context.value("choice/chance"), (1.0 + 0.5) / 4);
  EXPECT_EQ(context.written_items.at("choice").size(), 4u);
  EXPECT_EQ(context.written_items.at("samples_math").size(), 6u);  // two filters
  const Json& results = context.written_items.at("lm-eval-results").at(0).at("results");
  EXPECT_EQ(results.size(), 4u);
  EXPECT_DOUBLE_EQ(results.at("choice").at("acc,none").get<double>(), *context.value("choice/acc"));
  EXPECT_TRUE(results.at("choice").contains("acc_stderr,none"));
}

// Four questions cannot be told from guessing, and a random model solves no word problem.
TEST_F(EvaluateTasksTest, SayWhereAccuracyIsChance) {
  FakeRunContext context = this->context();
  FRUGAL_ASSERT_OK(evaluate_pass({{"tasks", {"choice", "math"}}})->run(context));
  const auto warned = [&](std::string_view what) {
    return std::any_of(context.warnings.begin(), context.warnings.end(),
                       [&](const std::string& w) { return w.find(what) != std::string::npos; });
  };
  EXPECT_TRUE(warned("of 4 cannot be told from guessing (37.5%), so it ranks no models"));
  EXPECT_TRUE(warned("math/exact_match,strict-match: none of 3 answers is right"));
  // The numbers themselves are marked where a warning says so, and nowhere else.
  for (const pass::Statistic& statistic : context.statistics) {
    const bool chance = warned(statistic.name + ": ") && statistic.name.starts_with("choice/");
    const bool none = warned(statistic.name + ": ") && statistic.name.starts_with("math/");
    const std::vector<std::string> expected = chance ? std::vector<std::string>{"at chance"}
                                              : none ? std::vector<std::string>{"none right"}
                                                     : std::vector<std::string>{};
    EXPECT_EQ(statistic.marks, expected) << statistic.name;
  }
}

TEST_F(EvaluateTasksTest, AreComparedWithAReference) {
  FakeRunContext context = this->context();
  FRUGAL_ASSERT_OK(evaluate_pass({{"tasks", {"choice", "pages"}},
                                  {"reference", "teacher"},
                                  {"margin", 0.02},
                                  {"metric", "choice/acc_norm"}})
                       ->run(context));
  std::map<std::string, Json> rows;
  for (const Json& row : context.tables.at("comparison")) rows[row.at("metric")] = row;
  ASSERT_EQ(rows.size(), 8u);  // four metrics and the answers' likelihood; three perplexities
  EXPECT_EQ(rows.at("choice/acc_norm").at("verdict"), "too few items");
  EXPECT_TRUE(rows.at("choice/acc").at("verdict").is_null());
  EXPECT_TRUE(rows.at("choice/acc").at("p_value").is_number());
  EXPECT_EQ(rows.at("choice/answer_log_likelihood").at("better"), "higher");
  EXPECT_EQ(rows.at("pages/word_perplexity").at("better"), "lower");
  EXPECT_DOUBLE_EQ(rows.at("pages/bits_per_byte").at("value").get<double>(),
                   *context.value("pages/bits_per_byte"));
  EXPECT_NE(rows.at("pages/bits_per_byte").at("difference"), 0.0);
}

// Who keeps what guessing gives keeps nothing, however many questions there are.
TEST_F(EvaluateTasksTest, NoClaimIsKeptAtTheFloor) {
  tasks::TaskData task;
  task.config.type = tasks::OutputType::kMultipleChoice;
  task.questions.resize(4000);
  for (tasks::Question& question : task.questions) {
    question.choices = {"A", "B", "C", "D"};
    question.right = {0};
  }
  const auto row = [&](const char* metric, double reference) {
    std::vector<Json> rows = {{{"metric", metric},
                               {"reference_value", reference},
                               {"verdict", "claimed"},
                               {"explanation", ""}}};
    doubt_floors("mmlu", task, rows);
    return rows[0];
  };
  EXPECT_EQ(row("mmlu/acc", 0.2525)["verdict"], "not claimed");
  EXPECT_EQ(row("mmlu/acc", 0.2525)["floor"], "at chance");
  EXPECT_EQ(row("mmlu/acc", 0.29)["verdict"], "claimed");  // SE 0.0068: 5.8 of them
  EXPECT_EQ(row("mmlu/answer_log_likelihood", 0.25)["verdict"], "claimed");
  task.config.type = tasks::OutputType::kGenerateUntil;
  EXPECT_EQ(row("mmlu/exact_match", 0.0)["verdict"], "not claimed");
  EXPECT_EQ(row("mmlu/exact_match", 0.01)["verdict"], "claimed");
}

// So it is of labelled examples.
TEST(EvaluateFloors, LabelsCanBeGuessedToo) {
  std::vector<evaluate::ClassificationItem> items(100);
  for (size_t i = 0; i < items.size(); ++i) {
    items[i].labels = {"a", "b"};
    items[i].right = i < 55;
  }
  const tasks::TaskData task = questions_of(items);
  EXPECT_THAT(warnings_of("reviews", task, accuracy_of(items)),
              testing::ElementsAre(testing::HasSubstr(
                  "reviews/accuracy: 55 right of 100 cannot be told from guessing (50%)")));
  std::vector<pass::Statistic> statistics = {{.name = "reviews/accuracy", .value = 0.55},
                                             {.name = "reviews/macro_f1", .value = 0.5}};
  mark_floors("reviews", task, statistics);
  EXPECT_EQ(statistics[0].marks, (std::vector<std::string>{"at chance"}));
  EXPECT_TRUE(statistics[1].marks.empty());
  std::vector<Json> rows = {{{"metric", "reviews/accuracy"},
                             {"reference_value", 0.55},
                             {"verdict", "claimed"},
                             {"explanation", ""}}};
  doubt_floors("reviews", task, rows);
  EXPECT_EQ(rows[0]["verdict"], "not claimed");
  for (size_t i = 55; i < 70; ++i) items[i].right = true;
  EXPECT_TRUE(warnings_of("reviews", task, accuracy_of(items)).empty());
}

TEST_F(EvaluateTasksTest, TakeTheirExamplesFromTheOption) {
  FakeRunContext context = this->context();
  FRUGAL_ASSERT_OK(
      evaluate_pass({{"tasks", {"choice"}}, {"fewshot", 1}, {"limit", 2}})->run(context));
  const Json& sample = context.written_items.at("samples_choice").at(0);
  const std::string prompt = sample.at("arguments").at("gen_args_0").at("arg_0");
  EXPECT_EQ(prompt.find("Question: ", prompt.find("Question: ") + 1), prompt.rfind("Question: "));
  EXPECT_EQ(context.written_items.at("choice").size(), 2u);
}

}  // namespace
}  // namespace frugal::passes
