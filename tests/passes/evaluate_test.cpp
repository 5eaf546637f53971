#include <gmock/gmock.h>

#include <cmath>
#include <filesystem>
#include <set>

#include "evaluate/items.h"
#include "passes/evaluate/comparison.h"
#include "passes/evaluate/evaluate_pass.h"
#include "passes/evaluate/power.h"
#include "passes/evaluate/results.h"
#include "passes/fake_context.h"
#include "passes/storefront_model.h"
#include "support/shared_data.h"
#include "tensor/aten.h"

namespace frugal::passes {
namespace {

namespace fs = std::filesystem;
using absl::StatusCode;
using base::Json;
using evaluate::ClassificationItem;
using evaluate::GenerationItem;
using testing::HasSubstr;

std::unique_ptr<pass::Pass> evaluate_pass(const Json& options) {
  auto made = make_evaluate_pass();
  set_options(*made, options);
  return made;
}

// Two models in a folder, and runs of the pass that share it.
class EvaluatePassTest : public ::testing::Test {
 protected:
  EvaluatePassTest()
      : model_(write_storefront_model(folder_.path() / "model", 1)),
        reference_(write_storefront_model(folder_.path() / "reference", 2)) {}

  FakeRunContext context() {
    FakeRunContext result(folder_.path(), *format::Checkpoint::open(model_));
    result.sources["sentiment"] = storefront("sentiment", 6);
    result.sources["description"] = storefront("description", 4);
    result.sources["both"] = storefront("", 8);
    result.models["teacher"] = reference_;
    result.models["same"] = model_;
    return result;
  }
  int64_t shared_folders() const {
    int64_t count = 0;
    const fs::path shared = folder_.path() / "shared";
    if (!fs::exists(shared)) return 0;
    for ([[maybe_unused]] const auto& entry : fs::directory_iterator(shared)) ++count;
    return count;
  }

  const test::TemporaryFolder folder_;
  const fs::path model_, reference_;
};

TEST_F(EvaluatePassTest, WritesNumbersItemsAndComparisons) {
  FakeRunContext context = this->context();
  FRUGAL_ASSERT_OK(evaluate_pass(kFull)->run(context));
  for (const char* name :
       {"sentiment/accuracy", "sentiment/macro_f1", "sentiment/calibration_error",
        "sentiment/answer_log_likelihood", "description/coverage", "description/length_ratio",
        "perplexity", "kld/mean", "kld/same_top", "kld/expected_acceptance"}) {
    EXPECT_TRUE(context.value(name).has_value()) << name;
  }
  EXPECT_EQ(context.written_items.at("sentiment").size(), 6u);
  EXPECT_EQ(context.written_items.at("description").size(), 4u);
  EXPECT_EQ(context.written_items.at("perplexity").size(), 4u);
  EXPECT_EQ(context.written_items.at("divergence").size(), 4u);
  std::set<std::string> metrics;
  for (const Json& row : context.tables.at("comparison")) {
    metrics.insert(row.at("metric").get<std::string>());
    EXPECT_EQ(row.at("reference"), "teacher");
    EXPECT_NEAR(row.at("difference").get<double>(),
                row.at("value").get<double>() - row.at("reference_value").get<double>(), 1e-12);
    // Six examples prove nothing about 2 points, and the margin is about one metric only.
    const bool claimed = row.at("metric") == "sentiment/accuracy";
    EXPECT_EQ(row.at("verdict"), claimed ? Json("too few items") : Json(nullptr));
  }
  EXPECT_EQ(metrics,
            (std::set<std::string>{"sentiment/accuracy", "sentiment/macro_f1",
                                   "description/coverage", "description/bleu", "description/chrf",
                                   "description/rouge_l", "description/rouge_lsum", "perplexity"}));
}

TEST_F(EvaluatePassTest, NumbersAreThoseOfTheLibrary) {
  FakeRunContext context = this->context();
  FRUGAL_ASSERT_OK(evaluate_pass(kFull)->run(context));
  const auto decoder = *model::Decoder::load(*context.input(), {});
  const auto teacher = *model::Decoder::load(*format::Checkpoint::open(reference_), {});
  const auto tokenizer = *text::load_tokenizer(model_);
  const base::RandomStream random(1, "any");
  const auto sentiment = *text::load_examples(storefront("sentiment", 6));
  EXPECT_EQ(context.value("sentiment/accuracy"),
            evaluate::classify(decoder, *tokenizer, sentiment, random)->accuracy);
  const auto windows =
      *evaluate::scored_windows(*text::load_examples(storefront("", 8)), *tokenizer,
                                *evaluate::parse_protocol("gptq-64"), {.windows = 4});
  const auto divergence = *evaluate::divergence(decoder, teacher, windows, random);
  // The pass runs other batches: fp32 noise as in the evaluate room's tests.
  EXPECT_NEAR(*context.value("kld/mean"), divergence.mean_kl, 1e-5);
  EXPECT_NEAR(*context.value("perplexity") / divergence.model.value, 1.0, 1e-5);
}

TEST_F(EvaluatePassTest, ReferenceItemsAreMadeOnce) {
  const Json options = {
      {"tasks", {"sentiment", "description"}}, {"reference", "teacher"}, {"max_new_tokens", 8}};
  FakeRunContext first = context();
  FRUGAL_ASSERT_OK(evaluate_pass(options)->run(first));
  EXPECT_EQ(shared_folders(), 2);
  FakeRunContext second = context();
  FRUGAL_ASSERT_OK(evaluate_pass(options)->run(second));
  EXPECT_EQ(shared_folders(), 2);
  EXPECT_EQ(first.tables, second.tables);
  // Other examples are other items.
  FakeRunContext third = context();
  third.sources["sentiment"].limit = 5;
  FRUGAL_ASSERT_OK(evaluate_pass(options)->run(third));
  EXPECT_EQ(shared_folders(), 3);
}

TEST_F(EvaluatePassTest, AModelIsNotComparedWithItself) {
  FakeRunContext context = this->context();
  Json options = kFull;
  options["reference"] = "same";
  FRUGAL_ASSERT_OK(evaluate_pass(options)->run(context));
  EXPECT_EQ(context.tables.count("comparison"), 0u);
  EXPECT_FALSE(context.value("kld/mean").has_value());
  EXPECT_TRUE(context.value("perplexity").has_value());
  EXPECT_EQ(shared_folders(), 0);
}

TEST_F(EvaluatePassTest, LimitsAndMixedTasks) {
  FakeRunContext context = this->context();
  FRUGAL_ASSERT_OK(
      evaluate_pass({{"tasks", {"both"}}, {"limit", 4}, {"max_new_tokens", 4}})->run(context));
  const size_t labelled = context.written_items.at("both").size();
  const size_t generated = context.written_items.at("both-generation").size();
  EXPECT_EQ(labelled + generated, 4u);
  EXPECT_GT(labelled, 0u);
  EXPECT_GT(generated, 0u);
}

// Of several texts each has its numbers, and the averages weigh texts, not tokens.
TEST_F(EvaluatePassTest, SeveralTextsAreScoredApart) {
  FakeRunContext context = this->context();
  FRUGAL_ASSERT_OK(evaluate_pass({{"perplexity", {"sentiment", "description"}},
                                  {"protocol", "gptq-32"},
                                  {"reference", "teacher"},
                                  {"windows", 3}})
                       ->run(context));
  const auto value = [&](const std::string& name) { return context.value(name).value_or(-1); };
  EXPECT_NEAR(
      std::log(value("perplexity")),
      0.5 * (std::log(value("sentiment/perplexity")) + std::log(value("description/perplexity"))),
      1e-12);
  EXPECT_NEAR(value("kld/mean"),
              0.5 * (value("sentiment/kld/mean") + value("description/kld/mean")), 1e-12);
  EXPECT_EQ(context.written_items.at("divergence-sentiment").size(), 3u);
  EXPECT_EQ(context.written_items.at("perplexity-description").size(), 3u);
  const auto& rows = context.tables.at("texts");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].at("text"), "description");
  EXPECT_EQ(rows[1].at("windows"), 3);
  EXPECT_EQ(rows[1].at("kl_mean"), value("description/kld/mean"));
  EXPECT_GT(rows[1].at("high").get<double>(), value("description/perplexity"));
  EXPECT_EQ(context.tables.at("comparison").at(0).at("metric"), "sentiment/perplexity");
}

// Prompts with what people wrote are completed, and compared with all that they wrote.
TEST_F(EvaluatePassTest, WritesTextsAndComparesThemWithCompletions) {
  FakeRunContext context = this->context();
  text::DataSource pairs;
  pairs.jsonl = (folder_.path() / "pairs.jsonl").string();
  pairs.prompt = "Item: {item}\nText:";
  pairs.completion = " {text}";
  FRUGAL_ASSERT_OK(
      base::write_file_atomically(pairs.jsonl,
                                  "{\"item\": \"lamp\", \"text\": \"A small lamp of oak.\"}\n"
                                  "{\"item\": \"chair\", \"text\": \"A chair.\"}\n"
                                  "{\"item\": \"lamp\", \"text\": \"An oak lamp, small.\"}\n"));
  context.sources["pairs"] = pairs;
  FRUGAL_ASSERT_OK(
      evaluate_pass({{"tasks", {"pairs"}}, {"reference", "teacher"}, {"max_new_tokens", 6}})
          ->run(context));
  const auto& items = context.written_items.at("pairs");
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[0].at("references"), Json({" A small lamp of oak.", " An oak lamp, small."}));
  std::set<std::string> names;
  for (const Json& row : context.tables.at("comparison")) names.insert(row.at("metric"));
  EXPECT_EQ(names, (std::set<std::string>{"pairs/bleu", "pairs/chrf", "pairs/rouge_l",
                                          "pairs/rouge_lsum"}));
  for (const std::string& name : names) EXPECT_TRUE(context.value(name).has_value()) << name;
  EXPECT_FALSE(context.value("pairs/coverage").has_value());
  FakeCheckContext check;
  check.sources["pairs"] = pairs;
  pass::ModelInfo info;
  info.config = small_config();
  info.has_tokenizer = true;
  FRUGAL_EXPECT_OK(
      evaluate_pass({{"tasks", {"pairs"}}, {"max_new_tokens", 6}})->check(check, info));
}

TEST_F(EvaluatePassTest, TheReportsClaimIsTested) {
  FakeRunContext context = this->context();
  context.declared = pass::Claim{.metric = "sentiment/accuracy", .margin = 0.25};
  FRUGAL_ASSERT_OK(
      evaluate_pass({{"tasks", {"sentiment"}}, {"reference", "teacher"}})->run(context));
  for (const Json& row : context.tables.at("comparison")) {
    const bool claimed = row.at("metric") == "sentiment/accuracy";
    EXPECT_EQ(row.at("verdict"), claimed ? Json("too few items") : Json(nullptr));
    EXPECT_EQ(row.at("margin"), claimed ? Json(0.25) : Json(nullptr));
  }
}

TEST_F(EvaluatePassTest, RefusesDataThatAsksForNothing) {
  FakeRunContext context = this->context();
  text::DataSource plain;
  plain.text = {(folder_.path() / "plain.txt").string()};
  FRUGAL_ASSERT_OK(base::write_file_atomically(plain.text[0], "Just a text."));
  context.sources["plain"] = plain;
  FRUGAL_EXPECT_ERROR(evaluate_pass({{"tasks", {"plain"}}})->run(context),
                      StatusCode::kInvalidArgument, "neither labels nor attributes nor a prompt");
  FRUGAL_EXPECT_ERROR(
      evaluate_pass({{"perplexity", "plain"}, {"protocol", "gptq-64"}})->run(context),
      StatusCode::kInvalidArgument, "one window needs 64");
}

absl::Status checked(const Json& options) {
  FakeCheckContext context;
  context.sources["sentiment"] = storefront("sentiment", 6);
  pass::ModelInfo info;
  info.name = "student";
  info.config = small_config();
  info.has_tokenizer = true;
  context.models["teacher"] = info;
  context.models["other"] = info;
  context.models["other"].config.vocabulary_size = 999;
  info.has_tokenizer = !options.contains("no_tokenizer");
  Json rest = options;
  rest.erase("no_tokenizer");
  return evaluate_pass(rest)->check(context, info);
}

TEST(EvaluateCheck, AcceptsWhatCanWork) {
  FRUGAL_EXPECT_OK(checked({{"tasks", {"sentiment"}}}));
  FRUGAL_EXPECT_OK(checked({{"perplexity", "sentiment"}, {"protocol", "llamacpp-512"}}));
  FRUGAL_EXPECT_OK(checked({{"tasks", {"sentiment"}}, {"reference", "teacher"}, {"margin", 0.02}}));
  FRUGAL_EXPECT_OK(checked({{"tasks", {"sentiment"}}, {"reference", "other"}}));
}

TEST(EvaluateCheck, RefusesWhatCannotWork) {
  const auto expect = [](const Json& options, const char* text,
                         StatusCode code = StatusCode::kInvalidArgument) {
    FRUGAL_EXPECT_ERROR(checked(options), code, text);
  };
  expect(Json::object(), "nothing to evaluate");
  expect({{"tasks", {"sentiment"}}, {"no_tokenizer", true}}, "no tokenizer");
  expect({{"tasks", {"typo"}}}, "typo", StatusCode::kNotFound);
  expect({{"perplexity", "sentiment"}}, "set protocol: gptq-512");  // the default is gptq-2048
  expect({{"perplexity", {"sentiment", "sentiment"}}, {"protocol", "gptq-64"}}, "twice");
  expect({{"perplexity", "sentiment"}, {"protocol", "wiki"}}, "perplexity protocol 'wiki'");
  expect({{"tasks", {"sentiment"}}, {"margin", 0.02}}, "needs a reference");
  expect({{"tasks", {"sentiment"}}, {"metric", "sentiment/accuracy"}}, "without a margin");
  expect({{"tasks", {"sentiment"}},
          {"reference", "teacher"},
          {"margin", 0.02},
          {"metric", "sentiment/acuracy"}},
         "did you mean 'sentiment/accuracy'");
  expect({{"perplexity", "sentiment"},
          {"protocol", "gptq-64"},
          {"reference", "teacher"},
          {"margin", 0.02},
          {"metric", "perplexity"}},
         "margin_kind: relative");
  expect({{"tasks", {"sentiment"}}, {"reference", "nobody"}}, "nobody", StatusCode::kNotFound);
  expect({{"perplexity", "sentiment"}, {"protocol", "gptq-64"}, {"reference", "other"}},
         "one vocabulary");
}

// The pipeline's claim, and what the check says of it.
struct ClaimCheck {
  absl::Status status;
  std::vector<std::string> warnings, notes;
};
ClaimCheck check_claim(const Json& options, const pass::Claim& claim, int64_t examples = 6) {
  FakeCheckContext context;
  context.sources["sentiment"] = storefront("sentiment", examples);
  context.claim = claim;
  pass::ModelInfo info;
  info.name = "student";
  info.config = small_config();
  info.has_tokenizer = true;
  context.models["teacher"] = info;
  const absl::Status status = evaluate_pass(options)->check(context, info);
  return {status, context.warnings, context.notes};
}

TEST(EvaluateCheck, TheReportsClaimSuffices) {
  const Json plain = {{"tasks", {"sentiment"}}, {"reference", "teacher"}};
  const pass::Claim claim{.metric = "sentiment/accuracy", .margin = 0.02};
  FRUGAL_EXPECT_OK(check_claim(plain, claim).status);
  Json other = plain;
  other["margin"] = 0.02;
  FRUGAL_EXPECT_OK(check_claim(other, claim).status);  // twice the same
  other["margin"] = 0.01;
  FRUGAL_EXPECT_ERROR(check_claim(other, claim).status, StatusCode::kInvalidArgument,
                      "is 0.01 (absolute) here and 0.02 (absolute) under report: claim:");
  other["metric"] = "sentiment/coverage";  // another claim
  FRUGAL_EXPECT_OK(check_claim(other, claim).status);
  FRUGAL_EXPECT_ERROR(
      check_claim(
          {{"perplexity", {"sentiment"}}, {"protocol", "gptq-64"}, {"reference", "teacher"}},
          {.metric = "perplexity", .margin = 0.02})
          .status,
      StatusCode::kInvalidArgument, "kind: relative under report: claim:");
}

// What the items can prove is said before anything runs: 0 of 133 changed excludes a loss of 2%.
TEST(EvaluateCheck, SaysWhatTheItemsCanProve) {
  const Json options = {{"tasks", {"sentiment"}}, {"reference", "teacher"}};
  const auto said = [&](int64_t examples, double margin) {
    const ClaimCheck check =
        check_claim(options, {.metric = "sentiment/accuracy", .margin = margin}, examples);
    EXPECT_EQ(check.warnings.size() + check.notes.size(), 1u);
    return check.warnings.empty() ? "note: " + check.notes.at(0) : check.warnings.at(0);
  };
  EXPECT_THAT(said(29, 0.02), HasSubstr("rests on 29 items, and fewer than 30 prove no margin"));
  EXPECT_THAT(said(100, 0.02), HasSubstr("no margin below 0.0263; at least 133 are needed"));
  EXPECT_THAT(said(400, 0.02), HasSubstr("at most 2.6% of the answers change"));
  EXPECT_THAT(said(400, 0.02), HasSubstr("if 10% change, they prove 0.0393, and 0.02 needs 1546"));
  EXPECT_THAT(said(400, 0.05), HasSubstr("note: "));
}

// --- the comparison table ---

ComparisonContext comparing(double margin, std::string metric = "",
                            evaluate::MarginKind kind = evaluate::MarginKind::kAbsolute) {
  return {"teacher",
          {EvaluateClaim{{margin, kind}, std::move(metric)}},
          base::RandomStream(1, "test/comparison")};
}

// n items; the model is wrong on the first `lost`, the reference on the last `won`.
std::pair<std::vector<ClassificationItem>, std::vector<ClassificationItem>> answers(int64_t n,
                                                                                    int64_t lost,
                                                                                    int64_t won) {
  std::vector<ClassificationItem> model, reference;
  for (int64_t i = 0; i < n; ++i) {
    const std::string truth = i % 2 ? "p" : "n", wrong = i % 2 ? "n" : "p";
    const auto item = [&](bool right) {
      return ClassificationItem{
          base::str_cat("i/", i), truth, right ? truth : wrong, right, {"p", "n"}, {0, 0}, {1, 1}};
    };
    model.push_back(item(i >= lost));
    reference.push_back(item(i < n - won));
  }
  return {model, reference};
}

TEST(ComparisonTest, AccuracyRowByHand) {
  const auto [model, reference] = answers(1000, 20, 10);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto rows, compare("task", model, reference, comparing(0.03)));
  ASSERT_EQ(rows.size(), 2u);
  const Json& row = rows[0];
  EXPECT_EQ(row["metric"], "task/accuracy");
  EXPECT_NEAR(row["value"].get<double>(), 0.98, 1e-12);
  EXPECT_NEAR(row["reference_value"].get<double>(), 0.99, 1e-12);
  EXPECT_NEAR(row["difference"].get<double>(), -0.01, 1e-12);
  EXPECT_EQ(row["n"], 1000);
  EXPECT_EQ(row["discordant"], 30);
  EXPECT_EQ(row["verdict"], "claimed");  // SE 0.0055 (floored variance .03 * .97): bound -0.0189
  EXPECT_DOUBLE_EQ(row["p_value"].get<double>(), evaluate::mcnemar_exact(10, 20).p_value);
  const auto interval = evaluate::paired_share_interval(10, 20, 1000);
  EXPECT_DOUBLE_EQ(row["low"].get<double>(), interval.low);
  EXPECT_DOUBLE_EQ(row["high"].get<double>(), interval.high);
  EXPECT_EQ(rows[1]["metric"], "task/macro_f1");
  EXPECT_LT(rows[1]["low"].get<double>(), rows[1]["difference"].get<double>());
  EXPECT_LT(rows[1]["p_value"].get<double>(), 1.0);  // every row has one, for Holm's correction
  EXPECT_TRUE(rows[1]["verdict"].is_null());
}

TEST(ComparisonTest, VerdictsFollowTheClaim) {
  const auto [model, reference] = answers(1000, 60, 10);
  EXPECT_EQ((*compare("task", model, reference, comparing(0.02)))[0]["verdict"], "not claimed");
  EXPECT_EQ((*compare("task", model, reference, comparing(0.1)))[0]["verdict"], "claimed");
  const Json silent = (*compare("task", model, reference, comparing(0.1, "other/accuracy")))[0];
  EXPECT_TRUE(silent["verdict"].is_null());
  EXPECT_TRUE(silent["margin"].is_null());
  EXPECT_GT(silent["smallest_margin"].get<double>(), 0.0);
  const auto [few_model, few_reference] = answers(40, 2, 2);
  const Json few = (*compare("task", few_model, few_reference, comparing(0.02)))[0];
  EXPECT_EQ(few["verdict"], "too few items");
  EXPECT_GT(few["items_needed"].get<int64_t>(), 40);
}

TEST(ComparisonTest, ItemsMustBeTheSame) {
  auto [model, reference] = answers(40, 0, 0);
  reference[3].id = "another";
  FRUGAL_EXPECT_ERROR(compare("task", model, reference, comparing(0)), StatusCode::kInternal,
                      "another");
  reference.pop_back();
  FRUGAL_EXPECT_ERROR(compare("task", model, reference, comparing(0)), StatusCode::kInternal, "39");
}

TEST(ComparisonTest, CoverageIsPairedByText) {
  std::vector<GenerationItem> model(50), reference(50);
  for (size_t i = 0; i < 50; ++i) {
    model[i].id = reference[i].id = base::str_cat(i);
    reference[i].coverage = 0.5 + 0.01 * static_cast<double>(i);
    model[i].coverage = reference[i].coverage - (i < 10 ? 0.1 : 0.0);
  }
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto rows, compare("d", model, reference, comparing(0.1)));
  EXPECT_EQ(rows[0]["metric"], "d/coverage");
  EXPECT_NEAR(rows[0]["difference"].get<double>(), -0.02, 1e-12);
  EXPECT_EQ(rows[0]["discordant"], 10);
  EXPECT_EQ(rows[0]["verdict"], "claimed");
  EXPECT_LT(rows[0]["low"].get<double>(), -0.02);
}

TEST(ComparisonTest, PerplexityIsLowerTheBetterAndItsMarginARatio) {
  evaluate::Divergence divergence;
  for (int i = 0; i < 40; ++i) {
    const double nll = 2.0 + 0.01 * i;
    divergence.items.push_back(
        {.tokens = 63, .document = i, .nll = nll + 0.01 + 0.001 * (i % 3), .reference_nll = nll});
  }
  divergence.windows = 40;
  divergence.model.value = 9.2;
  divergence.reference.value = 9.1;
  const auto relative = evaluate::MarginKind::kRelative;
  const Json row = *compare("perplexity", divergence, comparing(0.02, "perplexity", relative));
  EXPECT_EQ(row["better"], "lower");
  EXPECT_EQ(row["verdict"], "claimed");  // about 1.1% worse in every window
  EXPECT_EQ(row["margin"], 0.02);
  EXPECT_GT(row["low"].get<double>(), 0.0);
  EXPECT_EQ(
      (*compare("perplexity", divergence, comparing(0.01, "perplexity", relative)))["verdict"],
      "not claimed");
}

TEST(ComparisonTest, PValuesAreCorrectedTogether) {
  std::vector<Json> rows = {{{"p_value", 0.01}}, {{"p_value", nullptr}}, {{"p_value", 0.04}}};
  adjust_p_values(rows);
  EXPECT_DOUBLE_EQ(rows[0]["p_value_holm"].get<double>(), 0.02);
  EXPECT_FALSE(rows[1].contains("p_value_holm"));
  EXPECT_DOUBLE_EQ(rows[2]["p_value_holm"].get<double>(), 0.04);
}

TEST(ResultsTest, PerplexityCarriesWhatMakesItReproducible) {
  evaluate::Perplexity result;
  result.protocol = "llamacpp-256";
  result.text_sha256 = "abc";
  result.bos = "none";
  result.windows = 8;
  result.scored_tokens = 1016;
  result.value = 12.5;
  const auto statistics = statistics_of(result);
  ASSERT_EQ(statistics.size(), 1u);
  EXPECT_EQ(statistics[0].value, 12.5);
  for (const char* part : {"llamacpp-256", "8 windows", "1016 scored tokens", "BOS none", "abc"}) {
    EXPECT_THAT(statistics[0].help, ::testing::HasSubstr(part));
  }
  EXPECT_FALSE(statistics[0].low.has_value());
}

TEST(ResultsTest, UnknownIsNotZero) {
  evaluate::Generation result;
  result.items.resize(1);
  result.length_ratio = std::nan("");
  EXPECT_FALSE(statistics_of("d", result)[2].value.has_value());
}

}  // namespace
}  // namespace frugal::passes
