#include "report/energy_boundary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sample_journal.h"

namespace frugal::report {
namespace {

using base::Json;

Json measured(std::string variant) {
  Json step = checkpoint_step("cost", std::move(variant), "measure", 1);
  step["output"] = nullptr;
  step["tables"] = Json::parse(R"({
    "runtime": [{"runtime": "llama.cpp", "version": "xllamacpp 9"}],
    "boundary": [{"functional_unit": "one request answered", "reference_flow": "256 read, 64 generated",
      "software_boundary": "inference alone",
      "inside": [{"meter": "gpu-0", "scope": "GPU 0 board", "part": "accelerator", "provenance": "measured"}],
      "outside": ["the CPU"], "joules": 80.0,
      "shares": {"accelerator": 1.0, "host": null, "whole_machine": null}, "idle_share": 0.25,
      "provenance": "measured", "marks": ["short window"]}],
    "idle": [{"when": "before", "meter": "gpu-0", "watts": 70.5, "provenance": "measured"},
             {"when": "after", "meter": "gpu-0", "watts": null, "reason": "bus error"}],
    "conditions": [{"meter": "gpu-0", "scope": "GPU 0 board",
      "temperature_celsius": {"low": 40.0, "high": 55.0}, "not_told": ["clock_mhz"]}]})");
  return step;
}

TEST(EnergyBoundary, IsNullWithoutOne) {
  EXPECT_TRUE(energy_boundary_figure(sample_journal()).is_null());
}

TEST(EnergyBoundary, StepsOfOneBoundaryStandTogether) {
  JournalView journal;
  journal.steps = {measured("a"), measured("b"), measured("c")};
  journal.steps[2]["tables"]["boundary"][0]["outside"] = {"everything else"};
  const Json figure = energy_boundary_figure(journal);
  EXPECT_EQ(figure["finding"], "The joules are of GPU 0 board (accelerator, measured)");
  ASSERT_EQ(figure["boundaries"].size(), 2u);
  EXPECT_EQ(figure["boundaries"][0]["steps"], Json::array({"cost/a", "cost/b"}));
  EXPECT_EQ(figure["boundaries"][1]["outside"], Json::array({"everything else"}));
  ASSERT_EQ(figure["rows"].size(), 3u);
  EXPECT_EQ(figure["rows"][0]["accelerator"]["value"], 1.0);
  EXPECT_EQ(figure["rows"][0]["accelerator"]["marks"], Json::array({"short window"}));
  EXPECT_TRUE(figure["rows"][0]["host"]["value"].is_null());
  EXPECT_EQ(figure["rows"][0]["idle"]["value"], 0.25);
  EXPECT_EQ(figure["rows"][0]["engine"], "llama.cpp xllamacpp 9");
  EXPECT_EQ(figure["idle"][0]["watts"]["value"], 70.5);
  EXPECT_EQ(figure["idle"][1]["watts"]["reason"], "bus error");
  EXPECT_EQ(figure["conditions"][0]["told"], Json::array({"temperature_celsius 40 to 55"}));
  EXPECT_EQ(figure["conditions"][0]["not_told"], Json::array({"clock_mhz"}));
}

TEST(EnergyBoundary, WithoutMetersItSaysSo) {
  JournalView journal;
  journal.steps = {measured("a")};
  journal.steps[0]["tables"]["boundary"][0]["inside"] = Json::array();
  EXPECT_EQ(energy_boundary_figure(journal)["finding"], "No meter tells the joules of inference");
}

}  // namespace
}  // namespace frugal::report
