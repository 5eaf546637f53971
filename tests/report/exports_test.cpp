#include "report/exports.h"

#include <fstream>

#include "base/file.h"
#include "sample_journal.h"
#include "support/shared_data.h"

namespace frugal::report {
namespace {

namespace fs = std::filesystem;

// What the schemas of BoAmps require.
void expect_required(const base::Json& report) {
  for (const char* key : {"task", "measures", "infrastructure"}) ASSERT_TRUE(report.contains(key));
  for (const char* key : {"taskStage", "taskFamily", "algorithms", "dataset"})
    EXPECT_TRUE(report["task"].contains(key)) << key;
  for (const base::Json& data : report["task"]["dataset"])
    EXPECT_TRUE(data.contains("dataUsage") && data.contains("dataType"));
  ASSERT_FALSE(report["measures"].empty());
  for (const base::Json& measure : report["measures"]) {
    EXPECT_TRUE(measure["measurementMethod"].is_string());
    EXPECT_TRUE(measure["powerConsumption"].is_number());
  }
  for (const base::Json& part : report["infrastructure"]["components"])
    EXPECT_TRUE(part["componentType"].is_string() && part["nbComponent"].is_number_integer());
}

TEST(Exports, BoampsHasWhatItsSchemaRequires) {
  const auto reports = boamps_reports(sample_journal());
  ASSERT_EQ(reports.size(), 6u);
  for (const auto& [step, report] : reports) expect_required(report);
  const base::Json& small = reports.at("small/q4_0");
  EXPECT_DOUBLE_EQ(small["measures"][0]["powerConsumption"].get<double>(), 50 / 3.6e6);
  EXPECT_EQ(small["measures"][0]["measurementDateTime"], "2026-01-01 00:00:00");
  EXPECT_EQ(small["task"]["taskStage"], "compression: quantize");
  EXPECT_EQ(small["task"]["algorithms"][0]["quantization"], "q4_0");
  EXPECT_EQ(reports.at("teacher")["task"]["taskStage"], "training");
  EXPECT_EQ(small["quality"], "low");  // the model of the CPU may be off by half and threefold
  EXPECT_NE(small["header"]["reportId"], reports.at("teacher")["header"]["reportId"]);
  EXPECT_THAT(
      small["header"]["reportId"].get<std::string>(),
      testing::MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}"));
}

TEST(Exports, UnknownEnergyIsLeftOutAndNotZero) {
  JournalView journal = sample_journal();
  journal.steps[0]["energy"] = nullptr;
  base::Json& meter = journal.steps[1]["energy"]["meters"][0];
  meter["joules"] = nullptr;
  meter["reason"] = "bus error";
  const auto reports = boamps_reports(journal);
  EXPECT_EQ(reports.size(), 4u);
  EXPECT_FALSE(reports.contains("teacher"));
  EXPECT_FALSE(impact_framework_manifest(journal)["tree"]["children"].contains("small/q4_0"));
}

TEST(Exports, TheManifestMultipliesWhatTheSiteSays) {
  const base::Json manifest = impact_framework_manifest(sample_journal());
  const base::Json& input = manifest["tree"]["children"]["small/q4_0"]["inputs"][0];
  EXPECT_DOUBLE_EQ(input["energy"].get<double>(), 50 / 3.6e6);
  EXPECT_EQ(input["grid/carbon-intensity"], 400);
  EXPECT_EQ(input["power-usage-effectiveness"], 1.2);
  EXPECT_EQ(input["duration"], 10.0);
  const base::Json& config = manifest["initialize"]["plugins"]["operational-carbon"]["config"];
  for (const base::Json& factor : config["input-parameters"])
    EXPECT_TRUE(input.contains(factor.get<std::string>())) << factor;
  JournalView nowhere = sample_journal();
  nowhere.run_start["site"] = nullptr;
  EXPECT_TRUE(impact_framework_manifest(nowhere).is_null());
}

// manifestSchema of the Impact Framework (src/common/util/validations.ts), and what its Multiply
// asks of every input.
TEST(Exports, TheManifestHasTheShapeThatTheFrameworkValidates) {
  const base::Json manifest = impact_framework_manifest(sample_journal());
  EXPECT_TRUE(manifest["name"].is_string());
  EXPECT_TRUE(manifest["description"].is_string());
  EXPECT_TRUE(manifest["tags"].is_null() || manifest["tags"].is_object());
  const base::Json& plugins = manifest["initialize"]["plugins"];
  for (const auto& [name, plugin] : plugins.items()) {
    EXPECT_TRUE(plugin["path"].is_string() && plugin["method"].is_string()) << name;
    EXPECT_TRUE(plugin["config"]["output-parameter"].is_string()) << name;
  }
  ASSERT_TRUE(manifest["tree"]["children"].is_object());
  for (const auto& [step, child] : manifest["tree"]["children"].items()) {
    for (const base::Json& name : child["pipeline"]["compute"])
      EXPECT_TRUE(plugins.contains(name.get<std::string>())) << step;
    ASSERT_FALSE(child["inputs"].empty()) << step;
    for (const base::Json& input : child["inputs"]) {
      EXPECT_THAT(input["timestamp"].get<std::string>(),
                  testing::MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z"));
      EXPECT_TRUE(input["duration"].is_number());
    }
  }
}

TEST(Exports, WritesFilesAndSaysWhatItLeftOut) {
  const test::TemporaryFolder folder;
  JournalView journal = sample_journal();
  journal.steps[0]["energy"] = nullptr;
  journal.run_start["site"] = nullptr;
  std::ofstream out(folder.path() / "journal.jsonl");
  out << journal.run_start.dump() << "\n";
  for (const base::Json& step : journal.steps) out << step.dump() << "\n";
  out.close();
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Exported exported, write_exports(folder.path()));
  EXPECT_EQ(exported.files.size(), 7u);
  EXPECT_EQ(exported.left_out.size(), 3u);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const base::Json read,
                              base::read_json(folder.path() / "boamps" / "small" / "q4_0.json"));
  expect_required(read);
}

TEST(Exports, WritesNothingBesideTheRun) {
  const test::TemporaryFolder folder;
  JournalView journal = sample_journal();
  base::Json& step = journal.steps[1];
  step["variant"] = "../../../beside";
  std::ofstream(folder.path() / "journal.jsonl") << journal.run_start.dump() << "\n"
                                                 << step.dump() << "\n";
  FRUGAL_EXPECT_ERROR(write_exports(folder.path()).status(), absl::StatusCode::kInvalidArgument,
                      "'..' is not accepted");
}

}  // namespace
}  // namespace frugal::report
