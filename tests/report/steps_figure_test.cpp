#include "report/findings.h"
#include "sample_journal.h"
#include "support/shared_data.h"

namespace frugal::report {
namespace {

using base::Json;

TEST(Steps, EnergyKeepsItsProvenance) {
  const Json figure = steps_figure(sample_journal());
  EXPECT_EQ(figure["rows"][0]["energy"]["value"], 50.0);
  EXPECT_EQ(figure["rows"][0]["energy"]["provenance"], "modelled");
}

// Each variant is a row of the table, all of one step are one bar.
TEST(Steps, VariantsOfOneStepAreOneBar) {
  JournalView journal = sample_journal();
  for (int i = 0; i < 40; ++i)
    journal.steps.push_back(checkpoint_step("small", std::to_string(i), "quantize", 1e6));
  const Json figure = steps_figure(journal);
  EXPECT_EQ(figure["rows"].size(), 46u);
  ASSERT_EQ(figure["groups"].size(), 4u);
  const Json& small = figure["groups"][1];
  EXPECT_EQ(small["step"], "small (41 variants)");
  EXPECT_EQ(small["seconds"], 41 * 4.0);
  EXPECT_EQ(small["energy"]["value"], 41 * 50.0);
  EXPECT_EQ(figure["finding"],
            "small (41 variants) took 89% of the 3 min 04 s that all steps took");
}

TEST(Steps, OneUnknownVariantLeavesTheSumUnknown) {
  JournalView journal = sample_journal();
  journal.steps[5]["energy"] = nullptr;
  journal.steps[5]["energy_reason"] = "no counter";
  const Json figure = steps_figure(journal);
  EXPECT_EQ(figure["groups"][3]["step"], "speed (2 variants)");
  EXPECT_TRUE(figure["groups"][3]["energy"]["value"].is_null());
  EXPECT_EQ(figure["groups"][3]["energy"]["reason"], "no counter");
}

}  // namespace
}  // namespace frugal::report
