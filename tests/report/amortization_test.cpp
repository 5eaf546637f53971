#include "report/amortization.h"

#include "report/architectures.h"
#include "report/models.h"
#include "report/served.h"
#include "sample_journal.h"
#include "support/shared_data.h"

namespace frugal::report {
namespace {

using ::testing::HasSubstr;

// A teacher at 100 J for a million tokens, and of another architecture a student made in two steps
// of 50 J each, at `joules`.
JournalView with_student(double joules) {
  JournalView journal = sample_journal();
  for (const auto& [name, from] : {std::pair{"pruned", "teacher"}, {"student", "pruned"}}) {
    base::Json step = checkpoint_step(name, "", "prune", 1e6);
    step["from"] = {from};
    step["output"]["architecture"] = "Llama 1L";
    journal.steps.push_back(step);
  }
  journal.steps[5] = measure_step("student", joules);
  std::swap(journal.steps[5], journal.steps.back());
  std::swap(journal.steps[5], journal.steps[6]);  // pruned, student, then their measurement
  return journal;
}

base::Json figure_of(const JournalView& journal) {
  const base::Json models = collect_models(journal, "teacher");
  return amortization_figure(journal, models, collect_architectures(journal, models),
                             collect_served(journal, models, "teacher"), "teacher");
}

const base::Json& row(const base::Json& figure, std::string_view model) {
  for (const base::Json& one : figure["rows"]) {
    if (one["model"] == model) return one;
  }
  static const base::Json kNone;
  ADD_FAILURE() << "no row of " << model;
  return kNone;
}

TEST(Amortization, EveryStepOnTheWayIsPaidBack) {
  const base::Json figure = figure_of(with_student(60));
  const base::Json& student = row(figure, "student");
  EXPECT_EQ(student["one_off"]["value"], 100.0);  // not the teacher's own training
  EXPECT_EQ(student["one_off"]["help"], "pruned + student");
  EXPECT_EQ(student["one_off"]["provenance"], "modelled");
  EXPECT_DOUBLE_EQ(student["one_off"]["range"]["high"].get<double>(), 300);
  EXPECT_EQ(student["saved"]["value"], 40.0);
  EXPECT_EQ(student["tokens"]["value"], 2.5);  // million tokens
  EXPECT_EQ(row(figure, "pruned")["tokens"]["value"], 1.25);
  EXPECT_THAT(figure["finding"].get<std::string>(), HasSubstr("2 of 2"));
}

TEST(Amortization, WhatSavesNothingNeverPays) {
  const base::Json figure = figure_of(with_student(120));
  EXPECT_TRUE(row(figure, "student")["tokens"]["value"].is_null());
  EXPECT_EQ(row(figure, "student")["tokens"]["reason"], "nothing is saved: never");
  EXPECT_EQ(row(figure, "student")["saved"]["value"], -20.0);  // it costs more, and that is said
  EXPECT_THAT(figure["finding"].get<std::string>(), HasSubstr("No model is shown"));
}

TEST(Amortization, UnknownEnergyIsNotZero) {
  JournalView journal = with_student(60);
  for (base::Json& step : journal.steps) {
    if (step["id"] != "pruned") continue;
    step["energy"] = nullptr;
    step["energy_reason"] = "no meter";
  }
  const base::Json figure = figure_of(journal);
  const base::Json& student = row(figure, "student");
  EXPECT_TRUE(student["one_off"]["value"].is_null());
  EXPECT_TRUE(student["tokens"]["value"].is_null());
  EXPECT_EQ(student["tokens"]["reason"], "pruned: no meter");
}

TEST(Amortization, MarksStay) {
  JournalView journal = with_student(60);
  for (base::Json& step : journal.steps) {
    if (step["pass"] == "measure" && step["variant"] == "student")
      step["statistics"][0]["marks"] = {"short window"};
  }
  EXPECT_EQ(row(figure_of(journal), "student")["tokens"]["marks"].dump(), R"(["short window"])");
}

// A saving that chance may have made pays nothing back.
TEST(Amortization, WhatIsNotToldApartPaysNothing) {
  const base::Json figure = figure_of(with_student(97));  // 95 to 99 beside 98 to 102
  EXPECT_TRUE(row(figure, "student")["tokens"]["value"].is_null());
  EXPECT_EQ(row(figure, "student")["tokens"]["reason"], "the saving is not told apart from none");
  EXPECT_EQ(row(figure, "student")["saved"]["low"], -1.0);
  EXPECT_EQ(row(figure, "student")["saved"]["high"], 7.0);
}

// Models of one architecture share one number: nothing is saved between them, and none is ranked.
TEST(Amortization, ModelsOfOneArchitectureHaveNone) {
  EXPECT_TRUE(figure_of(sample_journal()).is_null());
  EXPECT_TRUE(amortization_figure(sample_journal(), base::Json::array(), base::Json::array(),
                                  base::Json::array(), "")
                  .is_null());
}

// In one runtime grids differ: of artifacts every one that was served beside the baseline's counts.
TEST(Amortization, AnArtifactPaysBackInItsRuntime) {
  const base::Json figure = figure_of(served_journal(60));
  ASSERT_EQ(figure["rows"].size(), 1u);
  const base::Json& student = figure["rows"][0];
  EXPECT_EQ(student["model"], "gguf/small-q4_0");
  EXPECT_EQ(student["in"], "llama.cpp (xllamacpp 1.0)");
  EXPECT_EQ(student["one_off"]["help"], "small/q4_0 + gguf/small-q4_0");
  EXPECT_EQ(student["saved"]["value"], 40.0);
  EXPECT_EQ(student["tokens"]["value"], 2.5);  // 100 J of two steps
}

}  // namespace
}  // namespace frugal::report
