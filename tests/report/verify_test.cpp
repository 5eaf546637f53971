#include "report/verify.h"

#include <fstream>

#include "base/file.h"
#include "base/hash.h"
#include "energy/site.h"
#include "report/drawings.h"
#include "report/exports.h"
#include "report/recorded_files.h"
#include "report/verify_files.h"
#include "sample_journal.h"
#include "support/shared_data.h"

namespace frugal::report {
namespace {

namespace fs = std::filesystem;
using base::Json;
using ::testing::HasSubstr;

constexpr const char* kSite = R"(name: Somewhere
region: XX
intensity: {grams_per_kwh: 400, kind: average, year: 2023, source: a table}
pue: {value: 1.2, year: 2023, source: a table}
hardware: ../machines/box.yaml
)";
constexpr const char* kHardware = R"(name: A box
kind: machine
source: its label
year: 2024
embodied_kg_co2e: {low: 100, high: 300}
lifetime_years: 4
)";

// A run folder with a file of every kind that a run leaves, as the runner and the report leave it.
class VerifyTest : public testing::Test {
 protected:
  void SetUp() override {
    journal_ = sample_journal();
    Json& start = journal_.run_start;
    start["resolved_sha256"] = put("pipeline.resolved.yaml", "frugal: 1\nname: sample\n");
    start["factors"] = {factor("site", kSite), factor("hardware", kHardware)};
    start["site"] = energy::to_json(energy::parse_site(kSite, "site", [](const std::string&) {
                                      return energy::parse_hardware(kHardware, "hardware");
                                    }).value());
    for (Json& step : journal_.steps) step["items"] = Json::array();
    Json& teacher = journal_.steps[0];
    teacher["output"]["path"] = "checkpoints/teacher";
    teacher["output"]["files"] = {file("checkpoints/teacher", "config.json", "{}"),
                                  file("checkpoints/teacher", "model.safetensors", "weights")};
    journal_.steps[1]["output"]["path"] = "checkpoints/small/q4_0";
    journal_.steps[1]["output"]["files"] = {
        file("checkpoints/small/q4_0", "model.safetensors", "wghts")};
    journal_.steps[3]["items"] = {file("items/quality/small/q4_0", "sentiment.jsonl", "{}\n")};
    journal_.steps[4]["items"] = {
        file("items/speed/teacher", "energy_windows.jsonl", sample_window(3).dump() + "\n")};
    journal_.idle.push_back({{"event", "idle"}, {"energy", sample_window(2)}});
    journal_.steps.push_back(export_step());
    write();
  }

  std::string put(const fs::path& path, const std::string& text) {
    fs::create_directories((run() / path).parent_path());
    std::ofstream(run() / path) << text;
    return base::sha256(text);
  }
  Json file(const fs::path& folder, const std::string& name, const std::string& text) {
    return {{"path", name},
            {"bytes", static_cast<int64_t>(text.size())},
            {"sha256", put(folder / name, text)}};
  }
  Json factor(const std::string& kind, const std::string& text) {
    Json row = file("factors", kind + ".yaml", text);
    row["path"] = "factors/" + kind + ".yaml";
    row["kind"] = kind;
    return row;
  }
  Json export_step() {
    Json step = checkpoint_step("file", "", "export", 7);
    step["from"] = {"small/q4_0"};
    step["options"] = {{"card", true}};
    step["items"] = Json::array();
    step["tables"]["files"] = {file("artifacts", "m-onnx/model.onnx", "graph"),
                               file("artifacts", "m.gguf", "weights")};
    step["tables"]["artifacts"] = {{{"format", "gguf"}, {"name", "m.gguf"}, {"weight_files", 1}}};
    step["output"] = {{"kind", "artifact"},
                      {"artifacts", {"artifacts/m-onnx", "artifacts/m.gguf"}}};
    return step;
  }

  // The journal as the runner writes it, and the report.
  void write() {
    fs::remove(run() / "journal.jsonl");
    FRUGAL_ASSERT_OK_AND_ASSIGN(auto journal, pass::Journal::open(run() / "journal.jsonl", {}));
    const auto add = [&](const Json& record) {
      FRUGAL_ASSERT_OK(journal.write(record["event"].get<std::string>(), record));
    };
    add(journal_.run_start);
    for (const Json& idle : journal_.idle) add(idle);
    for (const Json& step : journal_.steps) {
      add({{"event", "step_start"}, {"id", step["id"]}});
      add(step);
    }
    add(journal_.run_end);
    FRUGAL_ASSERT_OK(write_report(run()));
    FRUGAL_ASSERT_OK(write_exports(run()));
  }
  const fs::path& run() const { return folder_.path(); }
  std::vector<std::string> problems() const {
    const auto found = verify_run(run());
    if (!found.ok()) return {std::string(found.status().message())};
    return found->problems;
  }
  std::vector<fs::path> files() const {
    std::vector<fs::path> out;
    for (const auto& entry : fs::recursive_directory_iterator(run())) {
      if (entry.is_regular_file()) out.push_back(entry.path());
    }
    return out;
  }
  test::TemporaryFolder folder_;
  JournalView journal_;
};

TEST_F(VerifyTest, ARunIsWhatItsJournalSays) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Verification found, verify_run(run()));
  EXPECT_THAT(found.problems, testing::IsEmpty());
  EXPECT_THAT(found.unchecked, testing::IsEmpty());
  EXPECT_EQ(found.lines, 2 * static_cast<int64_t>(journal_.steps.size()) + 3);
  EXPECT_EQ(found.windows, static_cast<int64_t>(journal_.steps.size()) + 2);
  EXPECT_EQ(found.files, 10);
  // Three of the report, a card, BoAmps of every step, the manifest.
  EXPECT_GE(found.drawings, 3 + 1 + static_cast<int64_t>(journal_.steps.size()) + 1);
  EXPECT_EQ(found.reported, 10);
}

TEST_F(VerifyTest, OneChangedBitOfAnyFileIsFound) {
  const std::vector<fs::path> all = files();
  EXPECT_GE(all.size(), 20u);
  for (const fs::path& path : all) {
    const std::string good = base::read_file(path).value();
    for (size_t i = 0; i < 8; ++i) {
      std::string bad = good;
      const size_t at = i * (bad.size() - 1) / 7;
      bad[at] ^= static_cast<char>(1 << (i % 7));
      std::ofstream(path) << bad;
      EXPECT_FALSE(problems().empty()) << path << " at " << at;
    }
    std::ofstream(path) << good;
  }
  EXPECT_TRUE(problems().empty());
}

// Of every kind of record, even where the report was drawn again from what was changed.
TEST_F(VerifyTest, OneChangedBitOfAnyLineIsFoundBehindANewReport) {
  const fs::path path = run() / "journal.jsonl";
  const std::string good = base::read_file(path).value();
  for (const char* event : {"run_start", "idle", "step_start", "step_end", "run_end"}) {
    const size_t line = good.find(base::str_cat(R"({"event":")", event));
    ASSERT_NE(line, std::string::npos) << event;
    const size_t size = good.find('\n', line) - line;
    for (size_t i = 0; i < 12; ++i) {
      std::string bad = good;
      bad[line + i * (size - 1) / 11] ^= static_cast<char>(1 << (i % 7));
      std::ofstream(path) << bad;
      write_report(run()).IgnoreError();  // refuses what is no journal any more
      EXPECT_FALSE(problems().empty()) << event << ", byte " << i * (size - 1) / 11;
    }
  }
}

// A report that was drawn again from a forged journal is consistent with it; the raw readings are
// not.
TEST_F(VerifyTest, JoulesThatTheReadingsDoNotGiveAreFound) {
  journal_.steps[1]["energy"]["meters"][0]["joules"] = 5.0;
  write();
  ASSERT_EQ(problems().size(), 1u);
  EXPECT_THAT(problems()[0], HasSubstr("joules is recorded as 5"));
  journal_.steps[1]["energy"] = sample_window(50);
  journal_.steps[1]["energy"]["total_joules"]["value"] = 5.0;
  write();
  ASSERT_EQ(problems().size(), 1u);
  EXPECT_THAT(problems()[0], HasSubstr("small/q4_0: total_joules"));
}

TEST_F(VerifyTest, FactorsAreThoseOfTheFilesThatAreKept) {
  journal_.run_start["site"]["intensity"]["grams_per_kwh"] = 40;
  write();
  ASSERT_EQ(problems().size(), 1u);
  EXPECT_THAT(problems()[0], HasSubstr("the site is recorded as"));
}

TEST_F(VerifyTest, StatisticsAreComparedWithThoseOfTheirItems) {
  const Json honest = {{"name", "sentiment/accuracy"}, {"value", 0.945}, {"n", 1000}};
  Json again = honest;
  const auto recompute = [&](const Json&, const std::vector<Json>&, const Json& step,
                             const fs::path&) -> absl::StatusOr<pass::Recomputed> {
    if (step["id"] != Json("quality") || step["variant"] != Json("small/q4_0"))
      return pass::Recomputed{};
    return pass::Recomputed{{again},
                            {{{"metric", "sentiment/accuracy"}, {"difference", 0.945 - 0.95}}},
                            {"kld/mean: no windows"}};
  };
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Verification good, verify_run(run(), recompute));
  EXPECT_THAT(good.problems, testing::IsEmpty());
  EXPECT_EQ(good.statistics, 1);
  EXPECT_EQ(good.comparisons, 1);
  EXPECT_EQ(good.reported, 9);
  EXPECT_THAT(good.unchecked, testing::ElementsAre("quality/small/q4_0: kld/mean: no windows"));
  again["value"] = 0.9451;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Verification bad, verify_run(run(), recompute));
  ASSERT_EQ(bad.problems.size(), 1u);
  EXPECT_THAT(bad.problems[0],
              HasSubstr("sentiment/accuracy: value is recorded as 0.945, its items give 0.9451"));
}

TEST_F(VerifyTest, ChecksumsAreThoseThatSha256sumReads) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto sums,
                              read_checksums(base::read_file(run() / kSums).value()));
  for (const RecordedFile& recorded : recorded_files(journal_).files)
    EXPECT_EQ(sums.at(recorded.path), recorded.sha256);
  for (const auto& [path, hash] : sums)
    EXPECT_EQ(base::sha256_of_file(run() / path).value(), hash) << path;
  EXPECT_EQ(sums.size() + 1, files().size());  // itself
  EXPECT_FALSE(read_checksums("abc  file\n").ok());
  Verification found;
  FRUGAL_EXPECT_OK(verify_files(run(), read_journal(run() / "journal.jsonl").value(), &found));
  EXPECT_THAT(found.problems, testing::IsEmpty());
}

TEST_F(VerifyTest, WhatNoRecordVouchesForIsFound) {
  std::ofstream(run() / "checkpoints" / "teacher" / "chat_template.jinja") << "evil";
  ASSERT_EQ(problems().size(), 1u);
  EXPECT_THAT(problems()[0], HasSubstr("no record vouches for it"));
  fs::remove(run() / "checkpoints" / "teacher" / "chat_template.jinja");
  std::ofstream(run() / "notes.txt") << "the user's own";
  EXPECT_TRUE(problems().empty());
  fs::remove(run() / "artifacts" / "m.gguf");
  ASSERT_EQ(problems().size(), 1u);
  EXPECT_THAT(problems()[0], HasSubstr("m.gguf"));
}

TEST_F(VerifyTest, RecordsThatNameNoPlaceInTheRunAreRefused) {
  journal_.steps.back()["output"]["artifacts"][0] = 7;
  write();
  EXPECT_THAT(problems(), testing::Contains(HasSubstr("file: 7 is no place of an artifact")));
  journal_.steps.back()["output"]["artifacts"][0] = "../../etc";
  write();
  EXPECT_THAT(problems(), testing::Contains(HasSubstr("is no place in a run folder")));
}

// What another version drew is told apart from what was changed since.
TEST_F(VerifyTest, DrawingsOfAnotherVersionAreUncheckedAndNotWrong) {
  const std::string page = base::read_file(run() / "report.html").value();
  const std::string sums = base::read_file(run() / kSums).value();
  const std::string older = page + "<!-- older -->";
  std::ofstream(run() / "report.html") << older;
  std::string theirs = sums;
  theirs.replace(theirs.find(base::sha256(page)), 64, base::sha256(older));
  std::ofstream(run() / kSums) << theirs;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Verification found, verify_run(run()));
  EXPECT_THAT(found.problems, testing::IsEmpty());
  ASSERT_EQ(found.unchecked.size(), 1u);
  EXPECT_THAT(found.unchecked[0], HasSubstr("another version of frugal drew"));
  std::ofstream(run() / "report.html") << older << "!";
  ASSERT_EQ(problems().size(), 1u);
  EXPECT_THAT(problems()[0], HasSubstr("nor what was once drawn"));
}

// Journals without hashes and links: listed, never passed in silence.
TEST_F(VerifyTest, WhatAnEarlierVersionDidNotRecordIsSaid) {
  journal_.run_start.erase("resolved_sha256");
  journal_.run_start.erase("factors");
  for (Json& step : journal_.steps) {
    step.erase("items");
    if (step["output"].is_object()) step["output"].erase("files");
  }
  std::ofstream out(run() / "journal.jsonl");
  out << journal_.run_start.dump() << "\n";
  for (const Json& step : journal_.steps) out << step.dump() << "\n";
  out << journal_.run_end.dump() << "\n";
  out.close();
  FRUGAL_ASSERT_OK(write_report(run()));
  FRUGAL_ASSERT_OK(write_exports(run()));
  fs::remove(run() / kSums);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Verification found, verify_run(run()));
  EXPECT_THAT(found.problems, testing::IsEmpty());
  EXPECT_THAT(found.unchecked,
              testing::UnorderedElementsAre(
                  HasSubstr("lines of journal.jsonl have no links"), HasSubstr(kSums),
                  testing::AllOf(HasSubstr("not hashed by the version"),
                                 HasSubstr("pipeline.resolved.yaml"), HasSubstr("the site file"),
                                 HasSubstr("the files of teacher"),
                                 HasSubstr("the items of quality/small/q4_0"))));
  EXPECT_EQ(found.files, 2);  // of the export
  // Nor is what it drew otherwise called a change, where nothing can tell.
  std::ofstream(run() / "report.html", std::ios::app) << "<!-- older -->";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Verification other, verify_run(run()));
  EXPECT_THAT(other.problems, testing::IsEmpty());
  EXPECT_THAT(other.unchecked, testing::Contains(HasSubstr("cannot be told from another way")));
}

// Hashes that somebody took away are no excuse for a run that had links.
TEST_F(VerifyTest, AChangedDrawingIsWrongWithoutItsHashesToo) {
  fs::remove(run() / kSums);
  std::ofstream(run() / "report.html", std::ios::app) << "!";
  ASSERT_EQ(problems().size(), 1u);
  EXPECT_THAT(problems()[0], HasSubstr("is not what the journal gives"));
}

TEST_F(VerifyTest, WhatIsNotThereIsSaid) {
  fs::remove(run() / "report.html");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Verification found, verify_run(run()));
  EXPECT_TRUE(found.problems.empty());
  ASSERT_EQ(found.unchecked.size(), 1u);
  EXPECT_THAT(found.unchecked[0], HasSubstr("report.html"));
  fs::remove(run() / "journal.jsonl");
  EXPECT_FALSE(verify_run(run()).ok());
}

}  // namespace
}  // namespace frugal::report
