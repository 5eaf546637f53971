#include "report/throughput.h"

#include <gtest/gtest.h>

#include "report/models.h"
#include "serving_journal.h"

namespace frugal::report {
namespace {

using base::Json;

std::vector<Throughput> throughput_of(const JournalView& journal) {
  return collect_throughput(journal, collect_models(journal, "teacher"));
}

// Four requests at once of 100 prompt and 21 generated tokens: 400 tokens read at 1000 a second and
// 80 written at 200 take 0.8 s, in which 84 tokens come and 4 × 6 J go.
TEST(Throughput, CountsTheTimeOfThePrompt) {
  const auto all = throughput_of(serving_journal());
  ASSERT_EQ(all.size(), 3u);
  const Throughput& gguf = all[1];
  EXPECT_EQ(gguf.name, "file/small");
  EXPECT_EQ(gguf.engine, "llama.cpp (b1)");
  EXPECT_EQ(gguf.workload, "batch 4, 100 prompt and 21 generated tokens");
  EXPECT_DOUBLE_EQ(gguf.tokens_per_second["value"].get<double>(), 84 / 0.8);
  EXPECT_DOUBLE_EQ(gguf.tokens_per_second["low"].get<double>(), 84 / (400 / 900.0 + 80 / 180.0));
  EXPECT_DOUBLE_EQ(gguf.watts["value"].get<double>(), 4 * 6 / 0.8);
  EXPECT_DOUBLE_EQ(gguf.watts["range"]["high"].get<double>(), 4 * 12 / 0.8);
  EXPECT_EQ(gguf.watts["provenance"], "modelled");
  EXPECT_EQ(gguf.joules["value"], 300000.0);
  // Joules of a second by tokens of a second are joules of a token.
  EXPECT_DOUBLE_EQ(
      gguf.watts["value"].get<double>() / gguf.tokens_per_second["value"].get<double>(), 6.0 / 21);
}

TEST(Throughput, ModelsOfOneArchitectureAreOneRowInOurForward) {
  JournalView journal = serving_journal();
  Json again = journal.steps.back();
  ASSERT_EQ(again["from"][0], "teacher");
  again["variant"] = "small/q4_0";
  again["from"] = {"small/q4_0"};
  for (Json& number : again["statistics"]) number["value"] = number["value"].get<double>() * 3;
  journal.steps.push_back(again);
  const auto all = throughput_of(journal);
  ASSERT_EQ(all.size(), 3u);
  const Throughput& own = all.back();
  EXPECT_EQ(own.name, "Llama 2L");
  EXPECT_THAT(own.models, testing::ElementsAre("teacher", "small/q4_0"));
  EXPECT_EQ(own.joules["value"], 2 * 300000.0 * 2);  // the mean of one and three of 600,000
}

TEST(Throughput, WhatWasNotTimedIsUnknown) {
  JournalView journal = serving_journal();
  for (Json& step : journal.steps) {
    if (step["pass"] == Json("measure")) step["statistics"] = Json::array();
  }
  const auto all = throughput_of(journal);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_TRUE(all[0].watts["value"].is_null());
  EXPECT_EQ(all[0].tokens_per_second["reason"], "its prefill or decode was not timed");
  EXPECT_EQ(all[0].joules["reason"], "the step did not report it");
}

}  // namespace
}  // namespace frugal::report
