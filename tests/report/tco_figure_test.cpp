#include "report/tco_figure.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "browser.h"
#include "energy/tco.h"
#include "report/models.h"
#include "serving_journal.h"

namespace frugal::report {
namespace {

using base::Json;
using ::testing::HasSubstr;

JournalView priced_journal() {
  JournalView journal = serving_journal();
  Json& site = journal.run_start["site"];
  site["price"] = {{"per_kwh", 0.3}, {"currency", "EUR"}, {"year", 2024}, {"source", "a bill"}};
  site["hardware"] = {{"name", "A box"},    {"kind", "machine"},
                      {"source", "a shop"}, {"year", 2024},
                      {"idle_watts", 12.0}, {"lifetime_years", 4.0},
                      {"currency", "EUR"},  {"price", {{"low", 900.0}, {"high", 1100.0}}}};
  return journal;
}

Json figure_of(const JournalView& journal) {
  return tco_figure(journal, collect_models(journal, "file/teacher"), "file/teacher");
}

const Json& input_of(const Json& inputs, const std::string& key) {
  return *std::find_if(inputs.begin(), inputs.end(),
                       [&](const Json& input) { return input["key"].get<std::string>() == key; });
}

TEST(TcoFigure, IsTheTotalOfWhatWasMeasuredAndAssumed) {
  const Json figure = figure_of(priced_journal());
  ASSERT_EQ(figure["rows"].size(), 3u);
  const Json& row = figure["rows"][1];
  EXPECT_EQ(row["name"], "file/small");
  energy::TcoInputs inputs;
  const auto point = [](double value) { return energy::Estimate{value, {value, value}, ""}; };
  inputs.hardware_price = point(1000);
  inputs.lifetime_years = point(4);
  inputs.interest_rate = point(input_of(figure["inputs"], "interest_rate")["expected"]);
  inputs.utilization = point(input_of(figure["inputs"], "utilization")["expected"]);
  inputs.load_watts = point(30);
  inputs.idle_watts = point(12);
  inputs.tokens_per_second = point(105);
  inputs.pue = point(1.2);
  inputs.price_per_kwh = point(0.3);
  // Two steps of 50 J made it of the teacher, which the baseline is an export of.
  inputs.one_off_cost = point(100 * 1.2 * 0.3 / 3.6e6);
  const energy::Tco expected = energy::total_cost(inputs);
  EXPECT_NEAR(row["tco"]["expected"]["total"].get<double>(), expected.expected->total(),
              1e-12 * expected.expected->total());
  EXPECT_LT(row["tco"]["favorable"]["total"], row["tco"]["expected"]["total"]);
  EXPECT_LT(row["tco"]["expected"]["total"], row["tco"]["unfavorable"]["total"]);
  EXPECT_FALSE(row["tco"]["sensitivity"].empty());
  EXPECT_THAT(figure["finding"].get<std::string>(), HasSubstr("EUR, hardware and energy counted"));
  for (const Json& input : figure["inputs"]) EXPECT_FALSE(input["source"].empty()) << input;
}

TEST(TcoFigure, WhatIsNotKnownIsNamedAndNothingIsMadeUp) {
  const Json figure = figure_of(serving_journal());
  for (const Json& row : figure["rows"]) {
    EXPECT_TRUE(row["tco"]["expected"].is_null());
    for (const char* missing : {"hardware_price", "lifetime_years", "idle_watts", "price_per_kwh"})
      EXPECT_THAT(row["tco"]["unknown"].get<std::string>(), HasSubstr(missing));
  }
  EXPECT_EQ(figure["finding"], "What serving costs cannot be said yet");
  EXPECT_EQ(input_of(figure["inputs"], "hardware_price")["source"], "the site names no hardware");
  EXPECT_TRUE(figure_of(sample_journal("")).is_object());
  JournalView nothing = sample_journal();
  nothing.steps.resize(4);
  EXPECT_TRUE(figure_of(nothing).is_null());
}

TEST(TcoFigure, TwoCurrenciesAreNotAdded) {
  JournalView journal = priced_journal();
  journal.run_start["site"]["hardware"]["currency"] = "USD";
  const Json figure = figure_of(journal);
  EXPECT_THAT(input_of(figure["inputs"], "hardware_price")["source"].get<std::string>(),
              HasSubstr("the profile's price is in USD, that of energy in EUR"));
  EXPECT_THAT(figure["rows"][0]["tco"]["unknown"].get<std::string>(), HasSubstr("hardware_price"));
}

TEST(TcoFigure, MeasuredIdlePowerGoesBeforeTheProfile) {
  JournalView journal = priced_journal();
  for (const double joules : {80.0, 100.0})
    journal.idle.push_back(Json{{"event", "idle"}, {"energy", sample_window(joules)}});
  const Json figure = figure_of(journal);
  const Json& idle = input_of(figure["inputs"], "idle_watts");
  EXPECT_EQ(idle["low"], 8.0);
  EXPECT_EQ(idle["expected"], 9.0);
  EXPECT_EQ(idle["high"], 10.0);
  EXPECT_EQ(idle["provenance"], "measured");
}

TEST(TcoFigure, MakingIsPaidBackByWhatTheSameEngineSaves) {
  const Json figure = figure_of(priced_journal());
  const Json& rows = figure["rows"];
  EXPECT_EQ(rows[0]["break_even"]["reason"], "it is the baseline");
  const auto running = [&](size_t row) {
    const Json& parts = rows[row]["tco"]["expected"];
    return parts["total"].get<double>() - parts["one_off"].get<double>();
  };
  EXPECT_NEAR(rows[1]["break_even"]["million_tokens"].get<double>(),
              input_of(rows[1]["inputs"], "one_off_cost")["expected"].get<double>() /
                  (running(0) - running(1)),
              1e-12);
  EXPECT_EQ(rows[1]["against"], 0);
  EXPECT_TRUE(rows[2]["break_even"]["million_tokens"].is_null());
  EXPECT_THAT(rows[2]["break_even"]["reason"].get<std::string>(),
              HasSubstr("the baseline was not served by frugal's fp32 forward"));
  EXPECT_TRUE(rows[2]["against"].is_null());
  // The baseline's own export stands for it where it is no artifact itself.
  const Json by_teacher =
      tco_figure(priced_journal(), collect_models(priced_journal(), "teacher"), "teacher");
  EXPECT_EQ(by_teacher["rows"][1]["against"], 0);
  EXPECT_EQ(by_teacher["rows"][2]["role"], "baseline");
}

// The page computes the same totals from the same inputs, and again when one is edited.
TEST(TcoFigure, ThePageComputesTheSame) {
  FRUGAL_NEEDS_BROWSER();
  JournalView journal = priced_journal();
  journal.run_start["report"]["baseline"] = "file/teacher";
  const auto totals = [](const std::string& page) {
    std::vector<double> out;
    const std::string mark = "data-total=\"";
    for (size_t at = page.find(mark); at != std::string::npos; at = page.find(mark, at + 1)) {
      std::istringstream in(page.substr(at + mark.size(), 80));
      for (double value; in >> value;) out.push_back(value);
    }
    return out;
  };
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Json report, summarize(journal));
  std::vector<double> expected;
  for (const Json& row : report["figures"]["tco"]["rows"]) {
    for (const char* scenario : {"favorable", "expected", "unfavorable"})
      expected.push_back(row["tco"][scenario]["total"].get<double>());
  }
  ASSERT_EQ(expected.size(), 9u);
  const std::string page = render_page(report);
  const std::string shown = drawn(page);
  EXPECT_THAT(totals(shown), testing::Pointwise(testing::DoubleNear(1e-12), expected));
  EXPECT_THAT(shown, HasSubstr("What moves it: file/teacher"));
  const std::string edited = drawn(
      page,
      "const i = document.querySelector('[aria-label=\"utilization\"],[aria-label=\"share of the "
      "time it serves, expected\"]'); i.value = 0.5; i.dispatchEvent(new Event('input'));");
  EXPECT_LT(totals(edited).at(1), expected[1]);
  const std::string emptied = drawn(page,
                                    "const i = document.querySelector('[aria-label=\"price of a "
                                    "kWh, expected\"]'); i.value = ''; "
                                    "i.dispatchEvent(new Event('input'));");
  EXPECT_THAT(emptied, HasSubstr("The total is unknown. not known: price of a kWh"));
}

}  // namespace
}  // namespace frugal::report
