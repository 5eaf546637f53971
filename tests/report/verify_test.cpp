#include "report/verify.h"

#include <fstream>

#include "base/file.h"
#include "base/hash.h"
#include "report/drawings.h"
#include "sample_journal.h"
#include "support/shared_data.h"

namespace frugal::report {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class VerifyTest : public testing::Test {
 protected:
  void SetUp() override {
    journal_ = sample_journal();
    write();
  }
  void write() {
    std::ofstream out(run() / "journal.jsonl");
    out << journal_.run_start.dump() << "\n";
    for (const base::Json& step : journal_.steps) out << step.dump() << "\n";
    out << journal_.run_end.dump() << "\n";
    out.close();
    FRUGAL_ASSERT_OK(write_report(run()));
  }
  const fs::path& run() const { return folder_.path(); }
  std::vector<std::string> problems() const {
    const auto found = verify_run(run());
    if (!found.ok()) return {std::string(found.status().message())};
    return found->problems;
  }
  test::TemporaryFolder folder_;
  JournalView journal_;
};

TEST_F(VerifyTest, ARunIsWhatItsJournalSays) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Verification found, verify_run(run()));
  EXPECT_THAT(found.problems, testing::IsEmpty());
  EXPECT_THAT(found.unchecked, testing::IsEmpty());
  EXPECT_EQ(found.windows, static_cast<int64_t>(journal_.steps.size()));
  EXPECT_EQ(found.drawings, 3);
}

// Anywhere in the journal or in what was drawn from it.
TEST_F(VerifyTest, OneChangedBitIsFound) {
  for (const char* name : {"journal.jsonl", "report.json", "report.csv", "report.html"}) {
    const fs::path path = run() / name;
    const std::string good = base::read_file(path).value();
    for (size_t i = 0; i < 16; ++i) {
      std::string bad = good;
      bad[i * (bad.size() - 1) / 15] ^= static_cast<char>(1 << (i % 7));
      std::ofstream(path) << bad;
      EXPECT_FALSE(problems().empty()) << name << " at " << i * (bad.size() - 1) / 15;
    }
    std::ofstream(path) << good;
    EXPECT_TRUE(problems().empty()) << name;
  }
}

// A report that was drawn again from a forged journal is consistent with it; the raw readings are
// not.
TEST_F(VerifyTest, JoulesThatTheReadingsDoNotGiveAreFound) {
  journal_.steps[1]["energy"]["meters"][0]["joules"] = 5.0;
  write();
  ASSERT_EQ(problems().size(), 1u);
  EXPECT_THAT(problems()[0], HasSubstr("joules is recorded as 5"));
  journal_ = sample_journal();
  journal_.steps[1]["energy"]["total_joules"]["value"] = 5.0;
  write();
  ASSERT_EQ(problems().size(), 1u);
  EXPECT_THAT(problems()[0], HasSubstr("small/q4_0: total_joules"));
}

TEST_F(VerifyTest, WindowsBesideTheJournalAreFollowed) {
  const fs::path items = run() / "items" / "speed" / "teacher";
  fs::create_directories(items);
  base::Json window = sample_window(3);
  std::ofstream(items / "energy_windows.jsonl") << window.dump() << "\n" << window.dump() << "\n";
  EXPECT_EQ(verify_run(run())->windows, static_cast<int64_t>(journal_.steps.size()) + 2);
  window["meters"][0]["end"]["raw"] = 1;
  std::ofstream(items / "energy_windows.jsonl", std::ios::app) << window.dump() << "\n";
  ASSERT_EQ(problems().size(), 1u);
  EXPECT_THAT(problems()[0], HasSubstr("energy_windows.jsonl line 3"));
}

TEST_F(VerifyTest, ArtifactsHaveTheirHashes) {
  fs::create_directories(run() / "artifacts" / "m-onnx");
  std::ofstream(run() / "artifacts" / "m.gguf") << "weights";
  std::ofstream(run() / "artifacts" / "m-onnx" / "model.onnx") << "graph";
  base::Json step = checkpoint_step("gguf", "", "export", 7);
  step["tables"]["files"] = {
      {{"path", "m-onnx/model.onnx"}, {"bytes", 5}, {"sha256", base::sha256("graph")}},
      {{"path", "m.gguf"}, {"bytes", 7}, {"sha256", base::sha256("weights")}}};
  step["output"] = {{"kind", "artifact"}, {"artifacts", {"artifacts/m-onnx", "artifacts/m.gguf"}}};
  journal_.steps.push_back(step);
  write();
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Verification good, verify_run(run()));
  EXPECT_THAT(good.problems, testing::IsEmpty());
  EXPECT_EQ(good.files, 2);
  std::ofstream(run() / "artifacts" / "m.gguf") << "weightt";
  ASSERT_EQ(problems().size(), 1u);
  EXPECT_THAT(problems()[0], HasSubstr("m.gguf' has SHA-256"));
  fs::remove(run() / "artifacts" / "m.gguf");
  EXPECT_EQ(problems().size(), 1u);
  journal_.steps.back()["output"]["artifacts"][0] = 7;
  write();
  ASSERT_EQ(problems().size(), 1u);
  EXPECT_THAT(problems()[0], HasSubstr("gguf: 7 is no place of an artifact"));
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
