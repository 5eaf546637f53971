#include "report/served.h"

#include "report/architectures.h"
#include "report/models.h"
#include "sample_journal.h"
#include "support/shared_data.h"

namespace frugal::report {
namespace {

using base::Json;

Json served_of(const JournalView& journal) {
  return collect_served(journal, collect_models(journal, "teacher"), "teacher");
}

Json figure_of(const JournalView& journal) {
  const Json models = collect_models(journal, "teacher");
  return served_figure(collect_served(journal, models, "teacher"), models, "teacher");
}

TEST(Served, OneRowForAnArtifactInItsRuntime) {
  const Json rows = served_of(served_journal(40));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0]["label"], "gguf/teacher");
  EXPECT_EQ(rows[0]["role"], "baseline");  // made of it
  const Json& student = rows[1];
  EXPECT_EQ(student["engine"], "llama.cpp (xllamacpp 1.0)");
  EXPECT_EQ(student["file"], "small-q4_0.gguf");
  EXPECT_EQ(student["cells"]["weight_bytes"]["value"], 9e5);
  EXPECT_EQ(student["cells"]["sentiment/accuracy"]["value"], 0.94);
  EXPECT_EQ(student["cells"]["joules_per_request"]["value"], 0.04);
  EXPECT_EQ(student["cells"]["time_to_first_token"]["value"], 0.02);
}

TEST(Served, NothingServedIsNoTable) {
  EXPECT_TRUE(served_of(sample_journal()).empty());
  EXPECT_TRUE(figure_of(sample_journal()).is_null());
}

TEST(Served, TheSameFileInTwoRuntimesIsTwoRows) {
  JournalView journal = served_journal(40);
  journal.steps.push_back(in_runtime(measure_step("", 70), "gguf/small-q4_0", "transformers"));
  const Json rows = served_of(journal);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[1]["label"], "gguf/small-q4_0 in llama.cpp");
  EXPECT_EQ(rows[2]["label"], "gguf/small-q4_0 in transformers");
  EXPECT_EQ(rows[1]["cells"]["joules_per_request"]["value"], 0.04);
  EXPECT_EQ(rows[2]["cells"]["joules_per_request"]["value"], 0.07);
  EXPECT_EQ(find_served(rows, "gguf/small-q4_0", "transformers (xllamacpp 1.0)")->at("label"),
            "gguf/small-q4_0 in transformers");
}

// `frugal measure m.gguf`: a model that was given is no baseline of a run without one, and is
// called as its file.
TEST(Served, AFileThatWasGivenIsCalledAsItIs) {
  JournalView journal;
  journal.run_start = {{"event", "run_start"},
                       {"machine", {{"cpu", "a CPU"}}},
                       {"models", {{"input", {{"weight_bytes", 9}}}}}};
  Json step = in_runtime(measure_step("", 70), "input");
  step["tables"]["runtime"][0]["artifact"] = "m.gguf";
  journal.steps = {step};
  const Json models = collect_models(journal, "");
  const Json rows = collect_served(journal, models, "");
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0]["label"], "m.gguf");
  EXPECT_EQ(rows[0]["role"], "student");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Json report, summarize(journal));
  EXPECT_EQ(report["verdict"]["status"], "no_claim");
  EXPECT_EQ(report["verdict"]["about"]["artifact"], "m.gguf");
  EXPECT_EQ(report["verdict"]["about"]["runtime"], "llama.cpp (xllamacpp 1.0)");
}

// Two formats of one step: each has the size of its own files.
TEST(Served, SizesAreOfTheFormatThatWasServed) {
  JournalView journal = served_journal(40);
  for (Json& step : journal.steps) {
    if (step["variant"] != "small-q4_0") continue;
    step["tables"] = {{"artifacts", {{{"format", "gguf"}}, {{"format", "onnx"}}}},
                      {"files",
                       {{{"path", "small-q4_0.gguf"}, {"bytes", 700}},
                        {{"path", "small-q4_0-onnx/model.onnx"}, {"bytes", 200}}}}};
  }
  EXPECT_EQ(served_of(journal)[1]["cells"]["weight_bytes"]["value"], 700);
}

TEST(Served, TheFewestJoulesAreAFindingOnlyBeyondChance) {
  EXPECT_EQ(figure_of(served_journal(40))["finding"],
            "gguf/small-q4_0 takes 0.04 J for a response, the fewest of all");
  EXPECT_EQ(figure_of(served_journal(99))["finding"],
            "gguf/small-q4_0 takes 0.099 J for a response, not told apart from gguf/teacher");
}

// A baseline that no runtime served stands there with its quality and without joules.
TEST(Served, TheBaselineOfAnotherForwardHasNoJoulesBeside) {
  JournalView journal = served_journal(40);
  std::erase_if(journal.steps, [](const Json& step) {
    return step["variant"] == "gguf/teacher" || step["id"] == "gguf";
  });
  const Json rows = figure_of(journal)["rows"];
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0]["label"], "teacher");
  EXPECT_EQ(rows[0]["cells"]["sentiment/accuracy"]["value"], 0.95);
  EXPECT_FALSE(rows[0]["cells"].contains("joules_per_request"));
  EXPECT_EQ(rows[1]["role"], "student");
}

// Our own forward of an artifact's weights is no runtime: its joules rank no grid.
TEST(Served, OurOwnForwardOfAnArtifactIsOfItsArchitecture) {
  JournalView journal = served_journal(40);
  Json own = measure_step("gguf/small-q4_0", 1);
  own["tables"]["runtime"] = {{{"runtime", "frugal's fp32 forward"}}};
  journal.steps.push_back(own);
  EXPECT_EQ(served_of(journal)[1]["cells"]["joules_per_request"]["value"], 0.04);
  const Json models = collect_models(journal, "teacher");
  EXPECT_EQ((*find_number(*find_model(models, "gguf/small-q4_0"), "joules_per_request"))["value"],
            0.04);
  const Json all = collect_architectures(journal, models);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0]["models"], (Json{"teacher", "small/q4_0", "gguf/small-q4_0"}));
}

}  // namespace
}  // namespace frugal::report
