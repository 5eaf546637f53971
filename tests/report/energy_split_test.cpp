#include "report/architectures.h"
#include "report/findings.h"
#include "report/models.h"
#include "report/served.h"
#include "sample_journal.h"
#include "support/shared_data.h"

namespace frugal::report {
namespace {

using base::Json;
using ::testing::HasSubstr;

Json figure_of(const JournalView& journal) {
  const Json models = collect_models(journal, "teacher");
  return energy_split_figure(collect_architectures(journal, models),
                             collect_served(journal, models, "teacher"));
}

TEST(EnergySplit, IsOfTheArtifactsThatWereServed) {
  const Json figure = figure_of(served_journal(40));
  ASSERT_EQ(figure["rows"].size(), 2u);
  const Json& student = figure["rows"][1];
  EXPECT_EQ(student["name"], "gguf/small-q4_0");
  EXPECT_DOUBLE_EQ(student["prefill"]["value"].get<double>(), 0.008);
  EXPECT_DOUBLE_EQ(student["decode"]["value"].get<double>(), 0.032);
  EXPECT_DOUBLE_EQ(student["idle"]["value"].get<double>(), 0.02);
  EXPECT_EQ(student["request"]["value"], 0.04);
  EXPECT_EQ(figure["finding"],
            "Generating takes 80% of a response's joules, reading its prompt the rest");
}

TEST(EnergySplit, ElseOfArchitecturesInOurForward) {
  JournalView journal = sample_journal();
  journal.steps[4] = with_parts(journal.steps[4], 0.1);
  journal.steps[5] = with_parts(journal.steps[5], 0.3);
  const Json figure = figure_of(journal);
  ASSERT_EQ(figure["rows"].size(), 1u);  // both models are of one
  EXPECT_EQ(figure["rows"][0]["name"], "Llama 2L");
  EXPECT_DOUBLE_EQ(figure["rows"][0]["decode"]["value"].get<double>(), 0.16);
  EXPECT_THAT(figure["description"].get<std::string>(), HasSubstr("frugal's own fp32 forward"));
}

TEST(EnergySplit, PartsThatNobodyMeasuredAreNoFigure) {
  EXPECT_TRUE(figure_of(sample_journal()).is_null());
}

}  // namespace
}  // namespace frugal::report
