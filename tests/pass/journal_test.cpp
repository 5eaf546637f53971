#include "pass/journal.h"

#include <gtest/gtest.h>

#include <fstream>

#include "support/shared_data.h"

namespace frugal::pass {
namespace {

TEST(Journal, ATornLineIsCutOffAndTheLatestRunCounts) {
  const frugal::test::TemporaryFolder folder;
  const auto path = folder.path() / "journal.jsonl";
  std::vector<std::string> heard;
  {
    FRUGAL_ASSERT_OK_AND_ASSIGN(Journal journal, Journal::open(path, {}));
    FRUGAL_ASSERT_OK(journal.write("run_start", {{"name", "first"}}));
    FRUGAL_ASSERT_OK(journal.write("step_start", {{"id", "a"}}));
  }
  std::ofstream(path, std::ios::app)
      << R"({"event": "step_end", "id": "a", "seco)";  // killed in the middle of a line
  EXPECT_EQ(read_latest_run(path).value().size(), 2u);
  {
    FRUGAL_ASSERT_OK_AND_ASSIGN(Journal journal, Journal::open(path, [&](const std::string& line) {
                                  heard.push_back(line);
                                }));
    FRUGAL_ASSERT_OK(journal.write("run_start", {{"name", "second"}}));
    FRUGAL_ASSERT_OK(journal.write("run_end", {{"status", "done"}}));
  }
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto events, read_latest_run(path));
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0]["name"], "second");
  EXPECT_THAT(events[0]["time"].get<std::string>(), testing::MatchesRegex("[0-9-]+T[0-9:.]+Z"));
  EXPECT_EQ(heard.size(), 2u);
}

// Over two runs of one file; what an earlier version wrote has no links and breaks none.
TEST(Journal, AChangedBitOfAnyLineBreaksItsLink) {
  const frugal::test::TemporaryFolder folder;
  const auto path = folder.path() / "journal.jsonl";
  std::ofstream(path) << R"({"event":"run_start","name":"old"})" << "\n"
                      << R"({"event":"run_end"})" << "\n";
  for (const char* name : {"first", "second"}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(Journal journal, Journal::open(path, {}));
    FRUGAL_ASSERT_OK(journal.write("run_start", {{"name", name}}));
    FRUGAL_ASSERT_OK(journal.write("step_end", {{"id", "a"}, {"value", 0.1}}));
    FRUGAL_ASSERT_OK(journal.write("run_end", {{"status", "done"}}));
  }
  const std::string good = base::read_file(path).value();
  const ChainCheck sound = check_chain(good);
  EXPECT_EQ(sound.linked, 6);
  EXPECT_EQ(sound.unlinked, 2);
  EXPECT_THAT(sound.problems, testing::IsEmpty());
  const size_t begin = good.find(R"({"event":"run_start","time")");
  for (size_t i = begin; i + 1 < good.size(); ++i) {  // all but the end of the last line
    std::string bad = good;
    bad[i] ^= static_cast<char>(1 << (i % 7));
    EXPECT_FALSE(check_chain(bad).problems.empty()) << "byte " << i;
  }
  std::string shorter = good;
  const size_t line = good.find('\n', begin) + 1;
  shorter.erase(line, good.find('\n', line) + 1 - line);
  EXPECT_FALSE(check_chain(shorter).problems.empty());
}

TEST(Journal, WhatIsNoJournalIsRefused) {
  const frugal::test::TemporaryFolder folder;
  const auto path = folder.path() / "journal.jsonl";
  FRUGAL_EXPECT_ERROR(read_latest_run(path), absl::StatusCode::kNotFound, "journal.jsonl");
  std::ofstream(path) << "{\"event\": \"step_end\"}\n";
  FRUGAL_EXPECT_ERROR(read_latest_run(path), absl::StatusCode::kInvalidArgument, "no run_start");
  std::ofstream(path) << "nonsense\n";
  FRUGAL_EXPECT_ERROR(read_latest_run(path), absl::StatusCode::kInvalidArgument, ":1:");
}

TEST(Journal, ARangeOfAModelStandsBesideTheInterval) {
  const base::Json json = to_json(
      Statistic{.name = "x", .value = 2, .provenance = "modelled", .range = energy::Range{1, 5}});
  EXPECT_EQ(json["range"].dump(), R"({"low":1.0,"high":5.0})");
  EXPECT_FALSE(to_json(Statistic{.name = "x", .value = 2}).contains("range"));
  EXPECT_FALSE(to_json(Statistic{.name = "x", .value = 2}).contains("marks"));
  EXPECT_EQ(to_json(Statistic{.name = "x", .value = 2, .marks = {"short window"}})["marks"].dump(),
            R"(["short window"])");
}

TEST(Journal, UnknownStatisticsAreNull) {
  const base::Json unknown =
      to_json(Statistic{.name = "x", .value = std::nullopt, .unit = "J", .help = "h"});
  EXPECT_TRUE(unknown["value"].is_null());
  EXPECT_FALSE(unknown.contains("low"));
  const base::Json known = to_json(
      Statistic{.name = "x", .value = 0.5, .low = 0.4, .high = 0.6, .n = 100, .method = "wilson"});
  EXPECT_EQ(known,
            base::Json::parse(
                R"({"name": "x", "value": 0.5, "unit": "", "help": "", "provenance": "measured",
      "low": 0.4, "high": 0.6, "confidence": 0.95, "n": 100, "method": "wilson"})"));
}

}  // namespace
}  // namespace frugal::pass
