#include "report/models.h"

#include <gtest/gtest.h>

#include "sample_journal.h"

namespace frugal::report {
namespace {

TEST(Models, EvaluationsDescribeTheirInput) {
  const base::Json models = collect_models(sample_journal(), "teacher");
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(models[0]["role"], "baseline");
  EXPECT_EQ(models[1]["name"], "small/q4_0");
  EXPECT_EQ((*find_number(models[1], "sentiment/accuracy"))["value"], 0.945);
  EXPECT_EQ((*find_number(models[1], "weight_bytes"))["value"], 1e6);
}

TEST(Models, AnArtifactHasItsOwnSizeAndTheModelsParameters) {
  JournalView journal = sample_journal();
  const base::Json bytes = {{"name", "artifact_bytes"}, {"value", 7e5}, {"unit", "bytes"}};
  const base::Json quality = {{"name", "perplexity"}, {"value", 12.5}};
  journal.steps.push_back({{"event", "step_end"},
                           {"id", "file"},
                           {"variant", "q4_0"},
                           {"pass", "export"},
                           {"from", {"small/q4_0"}},
                           {"statistics", {bytes}}});
  journal.steps.push_back({{"event", "step_end"},
                           {"id", "used"},
                           {"variant", "file/q4_0"},
                           {"pass", "evaluate"},
                           {"from", {"file/q4_0"}},
                           {"statistics", {quality}}});
  const base::Json models = collect_models(journal, "teacher");
  const base::Json* file = find_model(models, "file/q4_0");
  ASSERT_NE(file, nullptr);
  EXPECT_EQ((*find_number(*file, "weight_bytes"))["value"], 7e5);
  EXPECT_EQ((*find_number(*file, "perplexity"))["value"], 12.5);
  const base::Json* small = find_model(models, "small/q4_0");
  for (const char* key : {"parameters", "bits_per_weight"}) {
    const base::Json *of_file = find_number(*file, key), *of_model = find_number(*small, key);
    ASSERT_EQ(of_file == nullptr, of_model == nullptr) << key;
    if (of_file == nullptr) continue;
    EXPECT_EQ((*of_file)["value"], (*of_model)["value"]) << key;
  }
  EXPECT_EQ((*file)["architecture"], (*small)["architecture"]);
}

TEST(Models, UnknownStaysUnknown) {
  JournalView journal = sample_journal();
  journal.steps[3]["statistics"][1]["value"] = nullptr;
  const base::Json models = collect_models(journal, "teacher");
  EXPECT_EQ(find_number(models[1], "perplexity"), nullptr);
  EXPECT_TRUE(models[1]["cells"]["perplexity"]["value"].is_null());
}

TEST(Models, ColumnsComeInTheirOrderAndOnlyWhereKnown) {
  const base::Json columns = collect_columns(collect_models(sample_journal(), "teacher"));
  ASSERT_EQ(columns.size(), 3u);  // what is of the architecture is no column of the models
  EXPECT_EQ(columns[0]["key"], "weight_bytes");
  EXPECT_EQ(columns[1]["title"], "sentiment accuracy");
  EXPECT_EQ(columns[1]["better"], "higher");
  EXPECT_EQ(columns[2]["better"], "lower");
}

// Of several texts and of written ones each number has a column with the name of its data.
TEST(Models, ColumnsOfTextsBearTheirNames) {
  base::Json models = collect_models(sample_journal(), "teacher");
  for (const char* name : {"web/kld/mean", "web/perplexity", "tickets/bleu"})
    models[1]["cells"][name] = {{"value", 0.5}, {"unit", ""}};
  std::vector<std::string> titles;
  for (const base::Json& column : collect_columns(models))
    titles.push_back(column["title"].get<std::string>());
  EXPECT_THAT(titles,
              testing::IsSupersetOf({"web KL divergence", "web perplexity", "tickets BLEU"}));
}

TEST(Models, EnergyOfAModelledCpuHasItsRange) {
  const base::Json number = energy_number(checkpoint_step("a", "", "train", 1));  // 50 J
  EXPECT_EQ(number["value"], 50.0);
  EXPECT_DOUBLE_EQ(number["range"]["low"].get<double>(), 25);
  EXPECT_DOUBLE_EQ(number["range"]["high"].get<double>(), 150);
}

TEST(Models, EnergyThatNobodyReadIsNullWithAReason) {
  base::Json step = checkpoint_step("a", "", "train", 1);
  step["energy"] = nullptr;
  step["energy_reason"] = "no meter";
  const base::Json number = energy_number(step);
  EXPECT_TRUE(number["value"].is_null());
  EXPECT_EQ(number["reason"], "no meter");
}

}  // namespace
}  // namespace frugal::report
