#include "base/text.h"
#include "report/findings.h"
#include "report/models.h"
#include "report/served.h"
#include "sample_journal.h"
#include "support/shared_data.h"

namespace frugal::report {
namespace {

using base::Json;

Json tradeoff_of(const JournalView& journal) {
  const Json models = collect_models(journal, "teacher");
  return tradeoff_figure(models, collect_served(journal, models, "teacher"), "sentiment/accuracy");
}

// The sample with a model that is larger than small/q4_0 and of `accuracy`, two points less or
// more.
Json with_another(double accuracy, double joules = 100) {
  JournalView journal = sample_journal();
  journal.steps.push_back(checkpoint_step("other", "", "quantize", 2e6));
  journal.steps.push_back(evaluation_step("other", accuracy, ""));
  journal.steps.push_back(measure_step("other", joules));
  return tradeoff_of(journal);
}

std::string place_of(const Json& figure, std::string_view model) {
  for (const Json& point : figure["points"]) {
    if (point["model"] == model) return point["place"].get<std::string>();
  }
  return "absent";
}

TEST(Tradeoff, WhatIsLargerAndWorseBeyondChanceIsBeaten) {
  const Json figure = with_another(0.90);
  EXPECT_EQ(figure["x"], "weight_bytes");
  EXPECT_EQ(place_of(figure, "other"), "beaten");
  EXPECT_EQ(place_of(figure, "small/q4_0"), "front");
  EXPECT_EQ(place_of(figure, "teacher"), "front");
  EXPECT_EQ(figure["finding"],
            "small/q4_0 is the smallest, and none is shown to have better sentiment/accuracy");
}

// Noise is no finding: a point that lies a little lower within its interval is not beaten.
TEST(Tradeoff, OverlappingIntervalsDoNotBeat) {
  const Json figure = with_another(0.94);
  EXPECT_EQ(place_of(figure, "other"), "unsure");
}

TEST(Tradeoff, WhatIsBetterBeyondChanceIsNamed) {
  EXPECT_EQ(with_another(0.995)["finding"],
            "small/q4_0 is the smallest; other has better sentiment/accuracy");
}

TEST(Tradeoff, TheFrontDoesNotDependOnJoulesOfOurForward) {
  EXPECT_EQ(with_another(0.9, 1).dump(), with_another(0.9, 1000).dump());
}

TEST(Tradeoff, WhatWasServedIsHeldAgainstItsJoules) {
  const Json figure = tradeoff_of(served_journal(40));
  EXPECT_EQ(figure["x"], "joules_per_request");
  ASSERT_EQ(figure["points"].size(), 2u);
  EXPECT_EQ(figure["points"][1]["model"], "gguf/small-q4_0");
  EXPECT_EQ(figure["points"][1]["x"]["low"], 0.04 * 0.98);
  EXPECT_EQ(place_of(figure, "gguf/teacher"), "front");  // more accurate by the numbers
  EXPECT_EQ(figure["finding"],
            "gguf/small-q4_0 takes the fewest joules, and none is shown to have better "
            "sentiment/accuracy");
}

// Served and scored, but not metered: size is what is left to hold it against.
TEST(Tradeoff, WithoutJoulesItIsSize) {
  JournalView journal = served_journal(40);
  std::erase_if(journal.steps, [](const Json& step) { return step["pass"] == "measure"; });
  EXPECT_EQ(tradeoff_of(journal)["x"], "weight_bytes");
}

}  // namespace
}  // namespace frugal::report
