#include "report/esrs.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "serving_journal.h"

namespace frugal::report {
namespace {

using base::Json;
using ::testing::HasSubstr;

const Json& row_of(const Json& table, const std::string& datapoint) {
  static const Json kNone;
  for (const Json& row : table["rows"]) {
    if (row["datapoint"].get<std::string>().starts_with(datapoint)) return row;
  }
  ADD_FAILURE() << "no row " << datapoint;
  return kNone;
}

JournalView contracted_journal() {
  JournalView journal = serving_journal();
  Json& site = journal.run_start["site"];
  site["market_intensity"] = {{"grams_per_kwh", 50}, {"year", 2024}, {"source", "a contract"}};
  site["hardware"] = {{"name", "A box"},
                      {"source", "its label"},
                      {"year", 2024},
                      {"embodied_kg_co2e", {{"low", 100}, {"high", 300}}},
                      {"lifetime_years", 4}};
  return journal;
}

// Nine steps of 50 J and 10 s each, by a model that may be off by half and threefold.
TEST(Esrs, EnergyAndBothScopesFollowFromTheWindows) {
  const Json table = esrs_table(contracted_journal());
  const double joules = 9 * 50;
  const Json& total = row_of(table, "Total energy consumption");
  EXPECT_EQ(total["disclosure"], "E1-5");
  EXPECT_DOUBLE_EQ(total["value"].get<double>(), joules * 1.2 / 3.6e9);
  EXPECT_DOUBLE_EQ(total["high"].get<double>(), 3 * joules * 1.2 / 3.6e9);
  EXPECT_EQ(total["estimated_share"], 1.0);
  EXPECT_THAT(total["source"].get<std::string>(), HasSubstr("PUE 1.2 (a table, 2023)"));
  const Json& location = row_of(table, "Gross Scope 2 emissions, location-based");
  EXPECT_NEAR(location["value"].get<double>(), joules * 1.2 * 400 / 3.6e6 / 1e6, 1e-18);
  EXPECT_THAT(location["source"].get<std::string>(), HasSubstr("400 g/kWh"));
  const Json& market = row_of(table, "Gross Scope 2 emissions, market-based");
  EXPECT_NEAR(market["value"].get<double>(), joules * 1.2 * 50 / 3.6e6 / 1e6, 1e-18);
  const Json& hardware = row_of(table, "Scope 3, category 2");
  EXPECT_TRUE(hardware["value"].is_null());
  EXPECT_NEAR(hardware["low"].get<double>(), 0.1 * 90 / (4 * 8760 * 3600.0), 1e-15);
  EXPECT_NEAR(hardware["high"].get<double>(), 0.3 * 90 / (4 * 8760 * 3600.0), 1e-15);
  const Json& each = row_of(table, "Scope 2 of a million tokens, location-based: file/small");
  EXPECT_NEAR(each["value"].get<double>(), 300000 * 1.2 * 400 / 3.6e6, 1e-9);
}

TEST(Esrs, WhatIsUnknownIsBlankWithItsReason) {
  JournalView journal = contracted_journal();
  journal.steps[0]["energy"] = nullptr;
  journal.run_start["site"] = nullptr;
  const Json table = esrs_table(journal);
  for (const Json& row : table["rows"]) {
    const bool known = !row["value"].is_null() || !row["low"].is_null();
    EXPECT_EQ(known, row["reason"].get<std::string>().empty()) << row;
    EXPECT_EQ(known, !row["method"].get<std::string>().empty()) << row;
  }
  EXPECT_THAT(row_of(table, "Electricity consumed")["reason"].get<std::string>(),
              HasSubstr("energy is unknown of: teacher"));
  EXPECT_THAT(row_of(table, "Gross Scope 2 emissions, location")["reason"].get<std::string>(),
              HasSubstr("no `report: site:`"));
  EXPECT_THAT(row_of(table, "Gross Scope 1")["reason"].get<std::string>(),
              HasSubstr("no fuel is metered"));
}

TEST(Esrs, StepsOfTheCacheAreNotConsumedAgain) {
  JournalView journal = contracted_journal();
  for (Json& step : journal.steps) step["cached"] = true;
  journal.steps[1]["cached"] = false;
  const Json table = esrs_table(journal);
  EXPECT_DOUBLE_EQ(row_of(table, "Electricity consumed")["value"].get<double>(), 50 / 3.6e9);
  EXPECT_THAT(table["boundary"].get<std::string>(), HasSubstr("8 steps came from the cache"));
}

TEST(Esrs, TheCsvHasALineForEveryRow) {
  const Json table = esrs_table(contracted_journal());
  const std::string csv = esrs_csv(table);
  EXPECT_EQ(static_cast<size_t>(std::count(csv.begin(), csv.end(), '\n')),
            table["rows"].size() + 1);
  EXPECT_TRUE(csv.starts_with("disclosure,paragraph,datapoint,unit,value,low,high,"));
  EXPECT_THAT(csv, HasSubstr("\nE1-5,37(a),of it from fossil sources,MWh,,,,,,,"));
}

}  // namespace
}  // namespace frugal::report
