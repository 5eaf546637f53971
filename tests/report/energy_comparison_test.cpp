#include "report/energy_comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "energy/paired_rounds.h"
#include "sample_journal.h"

namespace frugal::report {
namespace {

using base::Json;

Json row(std::string metric, const std::vector<double>& log_ratios, int64_t batch = 1) {
  return {{"metric", std::move(metric)},
          {"batch", batch},
          {"reference", "full"},
          {"unit", "J"},
          {"value", 8.0},
          {"reference_value", 10.0},
          {"rounds_left_out", 0},
          {"provenance", "measured"},
          {"marks", Json::array()},
          {"log_ratios", log_ratios}};
}

Json step(std::string variant, const std::vector<Json>& rows) {
  return {{"event", "step_end"},
          {"id", "cost"},
          {"variant", variant},
          {"pass", "measure"},
          {"key", "k"},
          {"from", {variant}},
          {"tables", {{"energy_comparison", rows}}}};
}

// Ten rounds around a ratio.
std::vector<double> around(double ratio, double spread = 0.01) {
  std::vector<double> out;
  for (int i = 0; i < 10; ++i) out.push_back(std::log(ratio) + spread * (i - 4.5) / 4.5);
  return out;
}

JournalView journal_of(const std::vector<Json>& steps) {
  JournalView journal;
  journal.steps = steps;
  return journal;
}

TEST(EnergyComparison, IsNullWithoutAny) {
  EXPECT_TRUE(energy_comparison_figure(journal_of({})).is_null());
  EXPECT_TRUE(energy_comparison_figure(journal_of({step("a", {})})).is_null());
  EXPECT_TRUE(energy_comparison_lines(nullptr).empty());
}

TEST(EnergyComparison, EveryVerdictStandsInTheFinding) {
  const Json figure = energy_comparison_figure(journal_of({
      step("small", {row("joules_per_request", around(0.75))}),
      step("alike", {row("joules_per_request", around(1.001, 0.04))}),
      step("worse", {row("joules_per_request", around(1.2))}),
  }));
  const std::string finding = figure["finding"].get<std::string>();
  EXPECT_THAT(finding, testing::HasSubstr("small saves 25% ["));
  EXPECT_THAT(finding, testing::HasSubstr("alike shows no significant saving: between"));
  EXPECT_THAT(finding, testing::HasSubstr("worse costs 20% more ["));
  EXPECT_THAT(finding, testing::EndsWith("in joules for a request against full"));
  EXPECT_THAT(figure["description"].get<std::string>(), testing::HasSubstr("3 comparisons"));
  const Json& rows = figure["groups"][0]["rows"];
  EXPECT_EQ(rows[0]["outcome"], "less");
  EXPECT_EQ(rows[1]["outcome"], "same");
  EXPECT_EQ(rows[2]["outcome"], "more");
  EXPECT_EQ(rows[2]["source"], "cost/worse");
  EXPECT_THAT(energy_comparison_lines(figure),
              testing::ElementsAre(testing::StartsWith("small saves 25% ["),
                                   testing::StartsWith("alike shows no significant saving"),
                                   testing::StartsWith("worse costs 20% more [")));
}

TEST(EnergyComparison, ManyAreCounted) {
  std::vector<Json> steps;
  for (const double ratio : {0.7, 0.8, 1.3, 1.0001, 1.0002}) {
    steps.push_back(
        step(base::str_cat("m", steps.size()),
             {row("joules_per_request", around(ratio, ratio > 1 && ratio < 1.1 ? 0.05 : 0.01))}));
  }
  EXPECT_THAT(energy_comparison_figure(journal_of(steps))["finding"].get<std::string>(),
              testing::StartsWith("2 take less, 1 take more, 2 cannot be told apart"));
}

// All batch sizes and candidates of a metric are one family.
TEST(EnergyComparison, IntervalsAreWidenedForTheFamily) {
  const std::vector<double> ratios = around(0.9, 0.05);
  const auto interval = [&](const std::vector<Json>& steps) {
    const Json first = energy_comparison_figure(journal_of(steps))["groups"][0]["rows"][0];
    return std::pair(first["low"].get<double>(), first["high"].get<double>());
  };
  const Json one = step("a", {row("joules_per_request", ratios)});
  const energy::PairedRounds alone = energy::compare_rounds(ratios);
  EXPECT_EQ(interval({one}), std::pair(alone.interval->low, alone.interval->high));
  const energy::PairedRounds of_four = energy::compare_rounds(ratios, 4);
  const Json both =
      step("b", {row("joules_per_request", ratios), row("joules_per_request", ratios, 8)});
  const Json first =
      step("a", {row("joules_per_request", ratios), row("joules_per_request", ratios, 8)});
  EXPECT_EQ(interval({first, both}), std::pair(of_four.interval->low, of_four.interval->high));
  EXPECT_LT(of_four.interval->low, alone.interval->low);
  const Json figure = energy_comparison_figure(journal_of({first, both}));
  ASSERT_EQ(figure["groups"].size(), 2u);
  EXPECT_EQ(figure["groups"][1]["batch"], 8);
  EXPECT_EQ(figure["groups"][0]["comparisons"], 4);
  EXPECT_NEAR(figure["groups"][0]["rows"][0]["p_value"].get<double>(), 4 * alone.p_value, 1e-12);
}

// `frugal measure a.gguf --reference b.gguf` names its models input and reference.
TEST(EnergyComparison, ACommandOfOneLineSpeaksOfItsFiles) {
  Json compared = row("joules_per_request", around(0.75));
  compared["reference"] = "reference";
  Json one_line = step("input", {compared});
  EXPECT_THAT(energy_comparison_lines(energy_comparison_figure(journal_of({one_line})))[0],
              testing::AllOf(testing::StartsWith("input saves 25%"),
                             testing::HasSubstr("against reference (")));
  one_line["tables"]["runtime"] = {{{"artifact", "a.gguf"}}, {{"artifact", "b.gguf"}}};
  const Json figure = energy_comparison_figure(journal_of({one_line}));
  EXPECT_THAT(energy_comparison_lines(figure)[0],
              testing::AllOf(testing::StartsWith("a.gguf saves 25%"),
                             testing::HasSubstr("against b.gguf (")));
  EXPECT_THAT(figure["finding"].get<std::string>(), testing::EndsWith("against b.gguf"));
  EXPECT_EQ(figure["groups"][0]["rows"][0]["model"], "input");
}

// A model beside itself shows the error of measuring, and makes no other interval wider.
TEST(EnergyComparison, AModelBesideItselfIsInNoFamily) {
  const Json figure = energy_comparison_figure(journal_of({
      step("full", {row("joules_per_request", around(1.0001, 0.03))}),
      step("small", {row("joules_per_request", around(0.75))}),
  }));
  EXPECT_EQ(figure["comparisons"], 1);
  EXPECT_TRUE(figure["groups"][0]["rows"][0]["itself"].get<bool>());
  EXPECT_THAT(figure["finding"].get<std::string>(), testing::StartsWith("small saves 25%"));
  EXPECT_THAT(energy_comparison_lines(figure)[0], testing::HasSubstr("against itself (10 rounds)"));
}

TEST(EnergyComparison, AnUnknownOrDamagedRowIsUnknownAndTheNextMetricLeads) {
  Json lost = row("joules_per_request", {});
  lost["reason"] = "no meter";
  Json damaged = row("net_joules_per_request", {});
  damaged["log_ratios"] = {0.1, "x"};
  Json speed = row("decode_tokens_per_second", around(1.5));
  speed["rounds_left_out"] = 2;
  speed["marks"] = {"short window"};
  const Json figure = energy_comparison_figure(journal_of({step("a", {lost, damaged, speed})}));
  EXPECT_EQ(figure["groups"][0]["rows"][0]["verdict"], "unknown: no meter");
  EXPECT_EQ(figure["groups"][1]["rows"][0]["outcome"], "unknown");
  EXPECT_EQ(figure["headline"]["metric"], "decode_tokens_per_second");
  EXPECT_THAT(figure["finding"].get<std::string>(),
              testing::AllOf(testing::StartsWith("a is 50% faster ["),
                             testing::HasSubstr("(short window)")));
  EXPECT_THAT(energy_comparison_lines(figure)[0],
              testing::HasSubstr("(10 rounds, 2 left out, short window)"));
}

// Five candidates none of which differs: one of them looks as if it did in at most 5% of runs.
TEST(EnergyComparison, TheBestOfManyIsNotTheLuckiest) {
  base::RandomStream random(5, "test/family");
  constexpr int kRuns = 400, kCandidates = 5;
  int lucky = 0, lucky_without_correction = 0;
  for (int run = 0; run < kRuns; ++run) {
    std::vector<Json> steps;
    bool alone = false;
    for (int c = 0; c < kCandidates; ++c) {
      std::vector<double> ratios;
      for (int round = 0; round < 10; ++round) ratios.push_back(0.05 * random.normal());
      alone = alone || energy::compare_rounds(ratios).differs();
      steps.push_back(step(base::str_cat("m", c), {row("joules_per_request", ratios)}));
    }
    const Json figure = energy_comparison_figure(journal_of(steps));
    const Json& rows = figure["groups"][0]["rows"];
    lucky += std::any_of(rows.begin(), rows.end(),
                         [](const Json& r) { return r["outcome"].get<std::string>() != "same"; })
                 ? 1
                 : 0;
    lucky_without_correction += alone ? 1 : 0;
  }
  const double most = 0.05 + 3 * std::sqrt(0.05 * 0.95 / kRuns);
  EXPECT_LE(static_cast<double>(lucky) / kRuns, most);
  EXPECT_GT(static_cast<double>(lucky_without_correction) / kRuns, most);
}

}  // namespace
}  // namespace frugal::report
