#include "report/compare_runs.h"

#include <gtest/gtest.h>

#include <fstream>

#include "browser.h"
#include "report/best_use.h"
#include "serving_journal.h"
#include "support/shared_data.h"

namespace frugal::report {
namespace {

namespace fs = std::filesystem;
using base::Json;
using ::testing::HasSubstr;

class CompareRunsTest : public testing::Test {
 protected:
  // Two artifacts served by llama.cpp, of one run; `sentiment` has the items `ids`.
  JournalView journal(const std::string& name) {
    JournalView view = serving_journal();
    view.steps.pop_back();  // the teacher in frugal's own forward
    view.run_start["name"] = name;
    view.run_start["report"]["baseline"] = "file/teacher";
    for (size_t i : {2, 3}) {  // scored in the same runtime
      Json& step = view.steps[i];
      step["from"] = {i == 2 ? "file/teacher" : "file/small"};
      step["variant"] = step["from"][0];
      step["tables"]["runtime"] = {{{"runtime", "llama.cpp"}, {"version", "b1"}}};
    }
    return view;
  }
  fs::path write(const JournalView& view, const std::string& folder,
                 const std::string& ids = "{\"id\":\"a\"}\n{\"id\":\"b\"}\n") {
    const fs::path run = folder_.path() / folder;
    fs::create_directories(run);
    std::ofstream out(run / "journal.jsonl");
    out << view.run_start.dump() << "\n";
    for (const Json& step : view.steps) {
      out << step.dump() << "\n";
      if (step["pass"].get<std::string>() != "evaluate") continue;
      const fs::path items =
          run / "items" / step["id"].get<std::string>() / step["variant"].get<std::string>();
      fs::create_directories(items);
      std::ofstream(items / "sentiment.jsonl") << ids;
    }
    out << view.run_end.dump() << "\n";
    return run;
  }
  static const Json& column(const Json& comparison, const std::string& key) {
    static const Json kNone;
    for (const Json& one : comparison["columns"]) {
      if (one["key"].get<std::string>() == key) return one;
    }
    ADD_FAILURE() << "no column " << key;
    return kNone;
  }
  static const Json& row(const Json& comparison, const std::string& run, const std::string& model) {
    static const Json kNone;
    for (const Json& one : comparison["rows"]) {
      if (one["run"].get<std::string>() == run && one["model"].get<std::string>() == model)
        return one;
    }
    ADD_FAILURE() << "no row " << run << " " << model;
    return kNone;
  }
  test::TemporaryFolder folder_;
};

TEST_F(CompareRunsTest, RunsOfOneMachineAreOneRanking) {
  JournalView better = journal("second");
  for (Json& number : better.steps[7]["statistics"]) {  // file/small, half the joules
    if (number["name"].get<std::string>() != "joules_per_million_tokens") continue;
    for (const char* key : {"value", "low", "high"}) number[key] = number[key].get<double>() / 2;
  }
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Json comparison,
                              compare_runs({write(journal("first"), "a"), write(better, "b")}));
  ASSERT_EQ(comparison["runs"].size(), 2u);
  for (const Json& one : comparison["columns"]) EXPECT_TRUE(one["comparable"].get<bool>()) << one;
  const Json& best = row(comparison, "second", "file/small");
  EXPECT_THAT(best["best"], testing::Contains("joules_per_million_tokens"));
  EXPECT_THAT(best["best_use"].get<std::string>(), HasSubstr("lowest joules with its claim held"));
  EXPECT_THAT(row(comparison, "first", "file/small")["best"],
              testing::Not(testing::Contains("joules_per_million_tokens")));
  // 300 kJ × PUE 1.2 × 400 g/kWh.
  EXPECT_DOUBLE_EQ(
      row(comparison, "first", "file/small")["cells"]["location_grams"]["value"].get<double>(),
      300000.0 * 1.2 * 400 / 3.6e6);
  EXPECT_FALSE(comparison["rows"][0]["cells"].contains("market_grams") &&
               comparison["rows"][0]["cells"]["market_grams"]["value"].is_number());
}

TEST_F(CompareRunsTest, OtherMachinesAreNotRankedColumnByColumn) {
  JournalView other = journal("elsewhere");
  other.run_start["machine"]["cpu"] = "another CPU";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Json comparison,
                              compare_runs({write(journal("here"), "a"), write(other, "b")}));
  for (const char* key : {"joules_per_million_tokens", "tokens_per_second", "location_grams"}) {
    EXPECT_FALSE(column(comparison, key)["comparable"].get<bool>()) << key;
    EXPECT_THAT(column(comparison, key)["note"].get<std::string>(),
                testing::AllOf(HasSubstr("machine: a CPU"), HasSubstr("another CPU")));
    for (const Json& one : comparison["rows"])
      EXPECT_THAT(one["best"], testing::Not(testing::Contains(key)));
  }
  EXPECT_TRUE(column(comparison, "weight_bytes")["comparable"].get<bool>());
  EXPECT_TRUE(column(comparison, "sentiment/accuracy")["comparable"].get<bool>());
  EXPECT_THAT(comparison["rules"][0]["answer"].get<std::string>(), HasSubstr("not comparable"));
  EXPECT_THAT(comparison["finding"].get<std::string>(), HasSubstr("may not be compared"));
  EXPECT_THAT(comparison_text(comparison), HasSubstr("(!) J per 1M tokens is not ranked"));
}

TEST_F(CompareRunsTest, OtherItemsTextsAndRuntimesAreNotComparable) {
  JournalView other = journal("other");
  for (Json& step : other.steps) {
    for (Json& number : step["statistics"]) {
      if (number["name"].get<std::string>() == "perplexity") number["help"] = "another text";
    }
  }
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const Json comparison,
      compare_runs({write(journal("one"), "a"), write(other, "b", "{\"id\":\"c\"}\n")}));
  EXPECT_THAT(column(comparison, "sentiment/accuracy")["note"].get<std::string>(),
              HasSubstr("items: "));
  EXPECT_THAT(column(comparison, "perplexity")["note"].get<std::string>(),
              HasSubstr("protocol: A number. | another text"));
  EXPECT_TRUE(column(comparison, "joules_per_million_tokens")["comparable"].get<bool>());
}

// Nobody is served by it, and its cost is the same for every grid.
TEST_F(CompareRunsTest, OurOwnForwardStandsAsideWhereOthersWereServed) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Json mixed, compare_runs({write(serving_journal(), "c")}));
  const Json& joules = column(mixed, "joules_per_million_tokens");
  EXPECT_TRUE(joules["comparable"].get<bool>()) << joules;
  EXPECT_EQ(joules["not_ranked"], "frugal's fp32 forward");
  for (const Json& one : mixed["rows"]) {
    if (one["engine"].get<std::string>() == "frugal's fp32 forward")
      EXPECT_THAT(one["best"], testing::Not(testing::Contains("joules_per_million_tokens")));
  }
  JournalView other = serving_journal();
  for (size_t i : {6, 7}) other.steps[i]["tables"]["runtime"][0]["runtime"] = "ONNX Runtime";
  other.run_start["name"] = "other";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Json two,
                              compare_runs({write(serving_journal(), "c"), write(other, "d")}));
  EXPECT_THAT(column(two, "joules_per_million_tokens")["note"].get<std::string>(),
              HasSubstr("runtime: ONNX Runtime (b1) | llama.cpp (b1)"));
}

TEST_F(CompareRunsTest, WhatCannotBeComparedIsRefused) {
  const fs::path run = write(journal("one"), "a");
  FRUGAL_EXPECT_ERROR(compare_runs({}), absl::StatusCode::kInvalidArgument, "no run");
  FRUGAL_EXPECT_ERROR(compare_runs({run, run}), absl::StatusCode::kInvalidArgument,
                      "a run that was given before");
  FRUGAL_EXPECT_ERROR(compare_runs({folder_.path() / "none"}), absl::StatusCode::kNotFound,
                      "journal.jsonl");
}

TEST_F(CompareRunsTest, FilesHoldTheSameNumbers) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Json comparison,
                              compare_runs({write(journal("one, \"two\""), "a")}));
  EXPECT_THAT(comparison_csv(comparison),
              HasSubstr("\"one, \"\"two\"\"\",file/small,llama.cpp (b1),joules_per_million_tokens,"
                        "300000.0,270000.0,330000.0,J,measured,serve/file/small,true\n"));
  const std::string page = render_comparison(comparison);
  for (const char* part : {"src=", "href=", "@import", "url(http", "fetch("})
    EXPECT_THAT(page, testing::Not(HasSubstr(part)));
}

TEST_F(CompareRunsTest, ThePageIsDrawn) {
  FRUGAL_NEEDS_BROWSER();
  JournalView other = journal("elsewhere");
  other.run_start["machine"]["cpu"] = "another </script> CPU";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Json comparison,
                              compare_runs({write(journal("here"), "a"), write(other, "b")}));
  const std::string page = drawn(render_comparison(comparison));
  EXPECT_THAT(page, HasSubstr("What may not be compared, and why"));
  EXPECT_THAT(page, HasSubstr("J per 1M tokens (!)"));
  EXPECT_THAT(page, HasSubstr("smallest with its claim held"));
}

// Unknown energy decides nothing.
TEST(BestUse, RulesNameNobodyWhereNothingIsKnown) {
  Json comparison = {{"runs", {{{"claim", ""}}}},
                     {"columns", Json::array()},
                     {"rows", {{{"run", "r"}, {"model", "m"}, {"claim", "claimed"}}}}};
  choose_best(comparison);
  EXPECT_EQ(comparison["rows"][0]["best_use"], "");
  EXPECT_EQ(comparison["rules"][0]["answer"], "nobody has that number");
}

}  // namespace
}  // namespace frugal::report
