#include "passes/common/serving.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "pass/plan.h"
#include "passes/evaluate/evaluate_pass.h"
#include "passes/fake_context.h"
#include "passes/measure/measure_pass.h"
#include "passes/storefront_model.h"
#include "support/fake_adapter.h"
#include "support/shared_data.h"
#include "tasks/golden.h"
#include "tasks/inputs.h"
#include "tensor/aten.h"

namespace frugal::passes {
namespace {

namespace fs = std::filesystem;
using base::Json;

double log_p(int64_t id, int64_t target) { return test::fake_log_p(id, target, kVocabulary); }

// A "Python" that has llama.cpp's wheel, or says so, and runs the fake adapter in place of ours.
// The environment is asked once in the life of a process: one folder for all.
class ServingTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    static const test::TemporaryFolder folder;
    const fs::path python = folder.path() / "python";
    std::ofstream(folder.path() / "adapter.py") << test::kFakeAdapter;
    std::ofstream(python)
        << "#!/bin/sh\ncase \"$2\" in\n  *'class Server'*) exec python3 '"
        << (folder.path() / "adapter.py").string()
        << "' ;;\n  *) echo '{\"xllamacpp\": \"9\", \"numpy\": \"2\"}' ;;\nesac\n";
    fs::permissions(python, fs::perms::owner_all);
    ::setenv("FRUGAL_RUNTIMES", python.c_str(), 1);
  }

  ServingTest() : artifact_{"gguf", folder_.path() / "m.gguf"} {
    std::ofstream(artifact_.path) << kVocabulary;
  }

  // The checkpoint beside the artifact.
  format::Checkpoint write_model() {
    return *format::Checkpoint::open(write_storefront_model(folder_.path() / "model", 1));
  }

  FakeRunContext context() {
    FakeRunContext result(folder_.path(), write_model());
    result.served = {artifact_};
    result.sources["text"] = storefront("", 8);
    result.sources["sentiment"] = storefront("sentiment", 6);
    result.sources["description"] = storefront("description", 3);
    result.models["same"] = folder_.path() / "model";
    return result;
  }

  const test::TemporaryFolder folder_;
  pass::Artifact artifact_;
};

std::unique_ptr<pass::Pass> with(std::unique_ptr<pass::Pass> pass, const Json& options) {
  set_options(*pass, options);
  return pass;
}

// Of a model whose weights frugal reads.
pass::ModelInfo readable() {
  pass::ModelInfo info;
  info.config = small_config();
  return info;
}

absl::StatusOr<std::optional<Serving>> chosen(std::string_view option,
                                              const std::vector<pass::Artifact>& artifacts) {
  std::string why;
  auto result = choose_serving(option, artifacts, Purpose::kScoring, why);
  EXPECT_EQ(why, "");
  return result;
}

TEST_F(ServingTest, AutoTakesTheRuntimeOfTheFormat) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto serving, chosen("auto", {{"floppy", "m.img"}, artifact_}));
  ASSERT_TRUE(serving.has_value());
  EXPECT_EQ(serving->engine(), "llama.cpp (xllamacpp 9)");
  EXPECT_EQ(serving->artifact, artifact_);
  EXPECT_FALSE(chosen("auto", {})->has_value());
  EXPECT_FALSE(chosen("frugal", {artifact_})->has_value());
}

TEST_F(ServingTest, ARuntimeThatDoesNotReadTheInputIsRefused) {
  FRUGAL_EXPECT_ERROR(chosen("llama.cpp", {}), absl::StatusCode::kInvalidArgument,
                      "but the input is a checkpoint; take the step from an export step");
  FRUGAL_EXPECT_ERROR(chosen("llama.cpp", {{"floppy", "m.img"}}),
                      absl::StatusCode::kInvalidArgument, "reads gguf, but the input is floppy");
}

// Nothing silent: the plan and the run say that the runtime is not here, and how to get it.
TEST_F(ServingTest, AutoWithoutTheRuntimeIsTheForwardAndSaysSo) {
  const std::vector<pass::Artifact> onnx = {{"onnx", folder_.path() / "m-onnx"}};
  FakeCheckContext check;
  check.served = onnx;
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const auto serving, check_serving("auto", "measure", readable(), Purpose::kTiming, check));
  EXPECT_FALSE(serving.has_value());
  EXPECT_EQ(check.computer, "");
  ASSERT_EQ(check.warnings.size(), 1u);
  EXPECT_THAT(check.warnings[0],
              testing::AllOf(testing::HasSubstr("frugal's fp32 forward of the artifact's weights"),
                             testing::HasSubstr("lacks onnxruntime-genai; run scripts/setup"),
                             testing::HasSubstr("lacks onnxruntime; run scripts/setup")));
  FakeRunContext run(folder_.path(), write_model());
  run.served = onnx;
  FRUGAL_ASSERT_OK(run_serving("auto", Purpose::kScoring, run).status());
  ASSERT_EQ(run.warnings.size(), 1u);
  EXPECT_THAT(run.warnings[0], testing::Not(testing::HasSubstr("genai")));  // no scorer
  FRUGAL_EXPECT_ERROR(
      check_serving("onnxruntime", "evaluate", readable(), Purpose::kScoring, check),
      absl::StatusCode::kNotFound, "lacks onnxruntime; run scripts/setup");
}

// There is no forward to fall back to: the plan and the run refuse, and say how to get the runtime.
TEST_F(ServingTest, AModelWhoseWeightsAreNotReadNeedsItsRuntime) {
  const std::vector<pass::Artifact> onnx = {{"onnx", folder_.path() / "m-onnx"}};
  FakeCheckContext check;
  check.served = onnx;
  pass::ModelInfo unread = readable();
  unread.config.layers.clear();
  FRUGAL_EXPECT_ERROR(check_serving("auto", "measure", unread, Purpose::kTiming, check),
                      absl::StatusCode::kInvalidArgument, "lacks onnxruntime; run scripts/setup");
  FRUGAL_EXPECT_ERROR(check_serving("frugal", "measure", unread, Purpose::kTiming, check),
                      absl::StatusCode::kInvalidArgument, "leave the option runtime out");
  FakeRunContext run(folder_.path(), std::nullopt);
  run.served = onnx;
  FRUGAL_EXPECT_ERROR(run_serving("auto", Purpose::kTiming, run),
                      absl::StatusCode::kInvalidArgument, "a runtime must compute it");
  FRUGAL_EXPECT_ERROR(input_model(run), absl::StatusCode::kNotFound, "genai_config.json");
}

TEST_F(ServingTest, ACheckSaysWhoComputes) {
  FakeCheckContext context;
  context.served = {artifact_};
  FRUGAL_ASSERT_OK(
      check_serving("auto", "measure", readable(), Purpose::kTiming, context).status());
  EXPECT_EQ(context.computer, "llama.cpp (xllamacpp 9)");
  EXPECT_THAT(context.notes, testing::ElementsAre("computed by llama.cpp (xllamacpp 9)"));
  EXPECT_THAT(context.warnings, testing::IsEmpty());
  context.place = "cuda:0";
  FRUGAL_ASSERT_OK(
      check_serving("auto", "measure", readable(), Purpose::kTiming, context).status());
  EXPECT_THAT(context.warnings,
              testing::ElementsAre(testing::HasSubstr("not on the run's device cuda:0")));
  FakeCheckContext own;
  own.served = {artifact_};
  FRUGAL_ASSERT_OK(check_serving("frugal", "measure", readable(), Purpose::kTiming, own).status());
  EXPECT_EQ(own.computer, "");
  FRUGAL_EXPECT_ERROR(check_serving("llama.cpp", "measure", readable(), Purpose::kTiming,
                                    *std::make_unique<FakeCheckContext>()),
                      absl::StatusCode::kInvalidArgument, "measure");
}

TEST_F(ServingTest, OfWhatOnlyARuntimeReadsVocabularyAndTokenizerAreKnown) {
  FakeRunContext context(folder_.path(), std::nullopt);
  context.served = {{"onnx", folder_.path()}};
  std::ofstream(folder_.path() / "genai_config.json")
      << R"({"model": {"type": "llama", "vocab_size": 300, "context_length": 64}})";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const InputModel input, input_model(context));
  EXPECT_EQ(input.config.vocabulary_size, 300);
  EXPECT_EQ(input.folder, folder_.path());
  FakeRunContext own(folder_.path(), write_model());
  FRUGAL_ASSERT_OK_AND_ASSIGN(const InputModel read, input_model(own));
  EXPECT_EQ(read.config.vocabulary_size, kVocabulary);
  EXPECT_EQ(read.folder, folder_.path() / "model");
}

TEST_F(ServingTest, QuestionsOfTaskFilesAreAnswered) {
  ServedModel model(**chosen("auto", {artifact_}), kVocabulary);
  const evaluate::Answerer answerer = model.answerer(1024, {12}, "");
  EXPECT_EQ(answerer.context_length, 1024);
  // Behind an id the next one is the most probable.
  const std::vector<std::vector<tasks::EncodedRequest>> questions = {
      {{{7, 8, 1}, 2}, {{7, 8, 9}, 2}}, {{{4, 0}, 1}}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto answers, answerer.likelihoods(questions));
  ASSERT_EQ(answers.size(), 2u);
  ASSERT_EQ(answers[0].size(), 2u);
  EXPECT_NEAR(answers[0][0].log_likelihood, log_p(7, 8) + log_p(8, 1), 1e-12);
  EXPECT_NEAR(answers[0][1].log_likelihood, log_p(7, 8) + log_p(8, 9), 1e-12);
  EXPECT_NEAR(answers[1][0].log_likelihood, log_p(4, 0), 1e-12);
  EXPECT_FALSE(answers[0][0].greedy);
  EXPECT_TRUE(answers[0][1].greedy);
  EXPECT_EQ(answers[0][1].tokens, 2);
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const auto texts, answerer.complete({{5}, {20}}, 20, [](std::span<const text::TokenId> ids) {
        return ids.back() >= 30;
      }));
  ASSERT_EQ(texts.size(), 2u);
  EXPECT_EQ(texts[0], (std::vector<text::TokenId>{6, 7, 8, 9, 10, 11}));  // 12 ends it
  EXPECT_EQ(texts[1].size(), 16u);  // the end at 31 is seen behind 36
}

TEST_F(ServingTest, EvaluateAnswersTaskFilesInTheRuntime) {
  FakeRunContext context = this->context();
  for (const char* name : {"choice", "math"}) {
    text::DataSource& source = context.sources[name];
    source.task_file = (test::golden_tasks() / base::str_cat(name, ".yaml")).string();
    FRUGAL_ASSERT_OK(tasks::find_inputs(source));
  }
  const Json options = {{"tasks", {"choice", "math"}}, {"limit", 3}, {"fewshot", 0}};
  FRUGAL_ASSERT_OK(with(make_evaluate_pass(), options)->run(context));
  EXPECT_EQ(context.tables.at("runtime").at(0)["runtime"], "llama.cpp");
  EXPECT_TRUE(context.value("choice/acc").has_value());
  // At most the likeliest that the adapter has: nothing of it comes from a forward of ours.
  EXPECT_LE(context.value("choice/answer_log_likelihood").value_or(0), log_p(0, 1));
  EXPECT_EQ(context.written_items.at("choice").size(), 3u);
  EXPECT_EQ(context.written_items.at("math").size(), 3u);
}

// A runtime's memory is its own; what frugal loads beside it is forecast.
TEST_F(ServingTest, TheForecastCountsWhatFrugalLoads) {
  const format::Checkpoint checkpoint = write_model();
  FRUGAL_ASSERT_OK_AND_ASSIGN(pass::ModelInfo info, pass::model_info("small", checkpoint));
  const int64_t weights = 4 * info.config.parameter_count();
  const auto forecast = [&](std::unique_ptr<pass::Pass> pass, const Json& options) {
    FakeCheckContext context;
    context.served = {artifact_};
    context.sources["text"] = storefront("", 8);
    context.sources["sentiment"] = storefront("sentiment", 6);
    context.models["same"] = info;
    FRUGAL_EXPECT_OK(with(std::move(pass), options)->check(context, info));
    return context.estimated.peak_memory_bytes;
  };
  EXPECT_EQ(forecast(make_measure_pass(), {{"runtime", "frugal"}}), weights);
  EXPECT_EQ(forecast(make_measure_pass(), Json::object()), std::nullopt);
  const Json text = {{"perplexity", "text"}, {"protocol", "gptq-64"}};
  EXPECT_EQ(forecast(make_evaluate_pass(), text), weights);  // for runtime_difference
  Json compared = text;
  compared["reference"] = "same";
  EXPECT_EQ(forecast(make_evaluate_pass(), compared), 2 * weights);
  EXPECT_EQ(forecast(make_evaluate_pass(), {{"tasks", {"sentiment"}}}), 0);
}

TEST_F(ServingTest, AModelIsAskedAsAScorerASourceOfLogitsAndACompleter) {
  ServedModel model(**chosen("auto", {artifact_}), kVocabulary);
  const std::vector<evaluate::Sequence> sequences(40, {{7, 8, 1}, {{0, 8}, {1, 8}, {2, 2}}});
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto scores, model.scorer("")(sequences));
  ASSERT_EQ(scores.size(), sequences.size());
  EXPECT_NEAR(scores[39][0], log_p(7, 8), 1e-12);
  EXPECT_NEAR(scores[39][1], log_p(8, 8), 1e-12);
  EXPECT_NEAR(scores[39][2], log_p(1, 2), 1e-12);
  std::vector<int64_t> best;
  FRUGAL_ASSERT_OK(model.logits()(sequences[0], [&](int64_t begin, const at::Tensor& logits) {
    EXPECT_EQ(begin, static_cast<int64_t>(best.size()));
    EXPECT_EQ(logits.size(1), kVocabulary);
    best.push_back(logits.argmax(-1).item<int64_t>());
    return absl::OkStatus();
  }));
  EXPECT_EQ(best, (std::vector<int64_t>{8, 9, 2}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto texts, model.completer(2, {})({{5}, {6, 9}}));
  EXPECT_EQ(texts, (std::vector<std::vector<text::TokenId>>{{6, 7}, {10, 11}}));
  EXPECT_EQ(model.row()["settings"]["context"], 256);
}

TEST_F(ServingTest, ASessionGrowsWithWhatItIsAskedFor) {
  ServedModel model(**chosen("auto", {artifact_}), kVocabulary);
  FRUGAL_ASSERT_OK_AND_ASSIGN(runtime::Session * session, model.open(300));
  EXPECT_EQ(session->info().settings["context"], 512);
  FRUGAL_ASSERT_OK_AND_ASSIGN(session, model.open(10, 4));
  EXPECT_EQ(session->info().settings["context"], 512);
  EXPECT_EQ(session->info().settings["sequences"], 4);
}

TEST_F(ServingTest, AnotherVocabularyIsRefused) {
  std::ofstream(artifact_.path) << 299;
  ServedModel model(**chosen("auto", {artifact_}), kVocabulary);
  FRUGAL_EXPECT_ERROR(model.open(10), absl::StatusCode::kFailedPrecondition,
                      "finds 299 ids in it, expected 300");
}

TEST_F(ServingTest, EvaluateScoresTheArtifactAndSaysHowItDiffersFromTheForward) {
  FakeRunContext context = this->context();
  FRUGAL_ASSERT_OK(with(make_evaluate_pass(), {{"tasks", {"sentiment", "description"}},
                                               {"perplexity", "text"},
                                               {"protocol", "gptq-64"},
                                               {"max_new_tokens", 4},
                                               {"windows", 4},
                                               {"forward_windows", 2}})
                       ->run(context));
  // Next ids in order are rare: nearly every token costs ln(e^2 + V - 1).
  const double perplexity = context.value("perplexity").value_or(0);
  EXPECT_LE(perplexity, std::exp(-log_p(0, 0)) + 1e-9);
  EXPECT_GT(perplexity, 0.5 * std::exp(-log_p(0, 0)));
  EXPECT_GT(context.value("runtime_difference/kld_mean").value_or(0), 0.0);
  EXPECT_TRUE(context.value("sentiment/accuracy").has_value());
  EXPECT_TRUE(context.value("description/coverage").has_value());
  const Json row = context.tables.at("runtime").at(0);
  EXPECT_EQ(row["runtime"], "llama.cpp");
  EXPECT_EQ(row["version"], "xllamacpp 9");
  EXPECT_EQ(row["artifact"], "m.gguf");
  EXPECT_EQ(context.written_items.at("perplexity").size(), 4u);
}

TEST_F(ServingTest, AForwardOfTheSameFileAsReferenceIsTheDifference) {
  FakeRunContext context = this->context();
  FRUGAL_ASSERT_OK(
      with(make_evaluate_pass(),
           {{"perplexity", "text"}, {"protocol", "gptq-64"}, {"windows", 3}, {"reference", "same"}})
          ->run(context));
  EXPECT_EQ(context.value("kld/mean"), context.value("runtime_difference/kld_mean"));
  EXPECT_GT(context.value("kld/mean").value_or(0), 0.0);
}

TEST_F(ServingTest, MeasureTimesTheArtifact) {
  FakeRunContext context = this->context();
  FRUGAL_ASSERT_OK(with(make_measure_pass(), {{"prompt_tokens", 8},
                                              {"generated_tokens", 4},
                                              {"batch", {1, 3}},
                                              {"repeats", 2},
                                              {"seconds_minimum", 0.001}})
                       ->run(context));
  EXPECT_EQ(context.value("time_per_token_p50/batch_3"), 0.5);  // as the adapter says
  EXPECT_GT(context.value("runtime_peak_memory").value_or(0), 1e6);
  EXPECT_EQ(context.tables.at("runtime").at(0)["settings"]["sequences"], 3);
  for (const pass::Statistic& statistic : context.statistics) {
    if (statistic.name != "tokens_per_second") continue;
    EXPECT_THAT(statistic.help, testing::HasSubstr("Timed in llama.cpp (xllamacpp 9)."));
  }
}

// Two files in two processes of the runtime; what is compared stands before what is measured alone.
TEST_F(ServingTest, MeasureTakesTurnsWithAReferenceInTheSameRuntime) {
  FakeRunContext context = this->context();
  const pass::Artifact other{"gguf", folder_.path() / "other.gguf"};
  std::ofstream(other.path) << kVocabulary;
  context.named["base"] = {{"onnx", folder_.path() / "none"}, other};
  const Json options = {{"prompt_tokens", 8},     {"generated_tokens", 4}, {"repeats", 7},
                        {"seconds_minimum", 0.0}, {"reference", "base"},   {"batch", {1, 3}}};
  FRUGAL_ASSERT_OK(with(make_measure_pass(), options)->run(context));
  const auto& runtimes = context.tables.at("runtime");
  ASSERT_EQ(runtimes.size(), 2u);
  EXPECT_EQ(runtimes[0]["artifact"], "m.gguf");
  EXPECT_EQ(runtimes[1]["artifact"], "other.gguf");
  EXPECT_EQ(runtimes[1]["reference"], "base");
  EXPECT_EQ(context.tables.at("energy_rounds").size(), 14u);
  EXPECT_EQ(context.tables.at("energy_comparison").size(), 16u);
  EXPECT_EQ(context.tables.at("energy_comparison")[5]["metric"], "decode_tokens_per_second");
  EXPECT_EQ(context.tables.at("speed").size(), 28u);  // of the model alone
  EXPECT_EQ(context.written_items.at("energy_windows").size(), 56u);
  EXPECT_EQ(context.statistics[0].name, "joules_per_request_ratio");
  EXPECT_EQ(context.tables.at("boundary").size(), 1u);
}

TEST_F(ServingTest, AReferenceOfAnotherVocabularyOrRuntimeIsRefusedByTheRunToo) {
  FakeRunContext context = this->context();
  const auto pass = with(make_measure_pass(), {{"prompt_tokens", 8},
                                               {"generated_tokens", 4},
                                               {"seconds_minimum", 0.0},
                                               {"reference", "base"}});
  FRUGAL_EXPECT_ERROR(pass->run(context), absl::StatusCode::kInvalidArgument,
                      "the reference 'base' is a checkpoint, which that does not read");
  const pass::Artifact other{"gguf", folder_.path() / "other.gguf"};
  std::ofstream(other.path) << kVocabulary - 1;
  context.named["base"] = {other};
  FRUGAL_EXPECT_ERROR(pass->run(context), absl::StatusCode::kFailedPrecondition,
                      "finds 299 ids in it, expected 300");
}

TEST_F(ServingTest, TheOwnForwardIsCalledByItsName) {
  FakeRunContext context = this->context();
  FRUGAL_ASSERT_OK(with(make_measure_pass(), {{"prompt_tokens", 8},
                                              {"generated_tokens", 2},
                                              {"repeats", 1},
                                              {"seconds_minimum", 0.0},
                                              {"runtime", "frugal"}})
                       ->run(context));
  EXPECT_EQ(context.tables.at("runtime").at(0)["runtime"], "frugal's fp32 forward");
}

}  // namespace
}  // namespace frugal::passes
