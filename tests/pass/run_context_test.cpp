#include "pass/run_context.h"

#include <gmock/gmock.h>

#include "base/file.h"
#include "toy.h"

namespace frugal::pass {
namespace {

namespace fs = std::filesystem;
using base::Json;

constexpr const char* kText = R"(frugal: 1
name: toy
seed: 9
models: {teacher: teacher}
data: {text: {text: a.txt}, other: {text: b.txt}}
steps:
  - {id: small, pass: scale, matrix: {factor: [2, 3]}}
  - {id: next, pass: scale, with: {factor: 1, teacher: small, calibration: text}}
  - {id: made, pass: make}
)";

// The context of one unit of the plan; opened models are the teacher's folder, their names noted.
class UnitContextTest : public testing::Test {
 protected:
  UnitContext context(const std::string& unit, const std::string& arithmetic = "cpu") {
    Unit& chosen = *std::find_if(plan_.units.begin(), plan_.units.end(),
                                 [&](const Unit& each) { return each.name() == unit; });
    chosen.arithmetic = arithmetic;
    return UnitContext({.plan = plan_,
                        .unit = chosen,
                        .cache = cache_,
                        .meters = meters_,
                        .device = "cuda:0",
                        .staging = shop_.path() / "staging",
                        .resume = shop_.path() / "resume",
                        .open = [this](const std::string& name) {
                          opened_.push_back(name);
                          return format::Checkpoint::open(shop_.path() / "teacher");
                        }});
  }
  test::Workshop shop_;
  Plan plan_ = shop_.plan(kText);
  Cache cache_ = shop_.cache();
  energy::MeterSet meters_ = test::toy_meters();
  std::vector<std::string> opened_;
};

TEST_F(UnitContextTest, OpensTheInputWhereThereIsOne) {
  UnitContext step = context("small/2");
  EXPECT_EQ(step.input(), nullptr);
  FRUGAL_ASSERT_OK(step.prepare());
  ASSERT_NE(step.input(), nullptr);
  EXPECT_EQ(step.input_name(), "teacher");
  EXPECT_THAT(opened_, testing::ElementsAre("teacher"));
  UnitContext source = context("made");
  FRUGAL_ASSERT_OK(source.prepare());
  EXPECT_EQ(source.input(), nullptr);
  EXPECT_EQ(source.input_name(), "");
  fs::remove_all(shop_.path() / "teacher");
  EXPECT_FALSE(context("small/2").prepare().ok());
}

TEST_F(UnitContextTest, SaysWhereAndHowAPassRuns) {
  const UnitContext step = context("small/2");
  EXPECT_EQ(step.output_folder(), shop_.path() / "staging" / "output");
  EXPECT_EQ(step.resume_folder(), shop_.path() / "resume");
  EXPECT_EQ(step.device(), "cuda:0");
  EXPECT_EQ(step.seed(), 9u);
}

// A key holds what the options name, so that nothing else may be read.
TEST_F(UnitContextTest, GivesOutWhatTheOptionsName) {
  const UnitContext step = context("next/3");
  FRUGAL_ASSERT_OK(step.model({"small"}));  // the variant of the step
  EXPECT_THAT(opened_, testing::ElementsAre("small/3"));
  FRUGAL_EXPECT_ERROR(step.model({"teacher"}), absl::StatusCode::kInternal,
                      "asked for the model 'teacher', which its options do not name");
  FRUGAL_EXPECT_ERROR(step.model({"small/2"}), absl::StatusCode::kInternal, "'small/2'");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const text::DataSource source, step.data({"text"}));
  EXPECT_THAT(source.text, testing::ElementsAre((shop_.path() / "a.txt").string()));
  FRUGAL_EXPECT_ERROR(step.data({"other"}), absl::StatusCode::kInternal,
                      "asked for the data 'other', which its options do not name");
  FRUGAL_EXPECT_ERROR(step.data({"small"}), absl::StatusCode::kInternal, "'small'");
}

TEST_F(UnitContextTest, SharedResultsAreOfOneArithmetic) {
  int made = 0;
  const auto make = [&](const fs::path& folder) {
    return base::write_file_atomically(folder / "x", base::str_cat(++made));
  };
  const auto shared = [&](const char* unit, const char* arithmetic) {
    const auto folder = context(unit, arithmetic).shared("key", make);
    return folder.ok() ? base::read_file(*folder / "x").value() : folder.status().ToString();
  };
  EXPECT_EQ(shared("small/2", "cpu"), "1");
  EXPECT_EQ(shared("small/3", "cpu"), "1");
  EXPECT_EQ(shared("small/2", "cpu, bf16"), "2");
  EXPECT_EQ(shared("small/2", ""), "3");
  EXPECT_EQ(shared("small/3", "cpu, bf16"), "2");
  FRUGAL_EXPECT_ERROR(context("small/2").shared(
                          "bad", [](const fs::path&) { return base::failed("no room in here"); }),
                      base::failed("").code(), "no room in here");
}

TEST_F(UnitContextTest, ItemsAreLinesOfJson) {
  fs::create_directories(shop_.path() / "staging" / "items");  // as the cache does
  UnitContext step = context("small/2");
  FRUGAL_ASSERT_OK(step.write_items("deep/answers", {{{"id", 0}, {"text", "\xff"}}, {{"id", 1}}}));
  EXPECT_EQ(base::read_file(shop_.path() / "staging" / "items" / "deep" / "answers.jsonl").value(),
            "{\"id\":0,\"text\":\"\xef\xbf\xbd\"}\n{\"id\":1}\n");
  FRUGAL_ASSERT_OK(step.write_items("none", {}));
  EXPECT_EQ(base::read_file(shop_.path() / "staging" / "items" / "none.jsonl").value(), "");
  EXPECT_FALSE(step.write_items("../outside", {}).ok());
  EXPECT_FALSE(fs::exists(shop_.path() / "staging" / "outside.jsonl"));
}

TEST_F(UnitContextTest, CollectsWhatIsSaidInItsOrder) {
  UnitContext step = context("small/2");
  step.statistic({.name = "b", .value = 1.5, .unit = "J", .help = "Of b."});
  step.statistic({.name = "a", .help = "Unknown."});
  step.row("curve", {{"step", 1}});
  step.row("curve", {{"step", 2}});
  step.row("other", {{"x", 0}});
  step.warn("bold");
  EXPECT_EQ(step.statistics().size(), 2u);
  const Json statistics = step.statistics_json();
  ASSERT_EQ(statistics.size(), 2u);
  EXPECT_EQ(statistics[0]["name"], "b");
  EXPECT_EQ(statistics[0]["value"], 1.5);
  EXPECT_TRUE(statistics[1]["value"].is_null());
  EXPECT_EQ(step.tables(),
            Json::parse(R"({"curve": [{"step": 1}, {"step": 2}], "other": [{"x": 0}]})"));
  EXPECT_THAT(step.warnings(), testing::ElementsAre("bold"));
}

}  // namespace
}  // namespace frugal::pass
