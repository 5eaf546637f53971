#include "report/findings.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "report/architectures.h"
#include "report/models.h"
#include "report/served.h"
#include "sample_journal.h"
#include "support/shared_data.h"

namespace frugal::report {
namespace {

using ::testing::HasSubstr;

TEST(LayerError, BecomesAMatrixPerVariant) {
  const base::Json figure = layer_error_figure(sample_journal());
  ASSERT_EQ(figure["variants"].size(), 1u);
  EXPECT_EQ(figure["variants"][0]["matrices"], (base::Json{"q_proj", "down_proj"}));
  EXPECT_EQ(figure["variants"][0]["values"], (base::Json{{0.01, 0.03}}));
  EXPECT_THAT(figure["finding"].get<std::string>(), HasSubstr("3%"));
}

// Names as a walk writes them: the layer's number and what stands before it are no part of a
// column.
TEST(LayerError, ColumnsAreMatricesAndLayersAreRows) {
  JournalView journal = sample_journal();
  base::Json rows = base::Json::array();
  for (const int layer : {0, 1, 10}) {
    for (const char* name : {"self_attn.o_proj", "mlp.experts.0.up", "mlp.experts.1.up"}) {
      rows.push_back({{"layer", layer},
                      {"matrix", base::str_cat("model.layers.", layer, ".", name, ".weight")},
                      {"error_after", 0.01 * (1 + layer)}});
    }
  }
  rows.push_back({{"layer", 11}, {"matrix", "head.weight"}, {"error_after", 0.5}});
  journal.steps[1]["tables"]["layer_error"] = rows;
  const base::Json variant = layer_error_figure(journal)["variants"][0];
  EXPECT_EQ(variant["matrices"], (base::Json{"o_proj", "0.up", "1.up", "head"}));
  EXPECT_EQ(variant["layers"], (base::Json{0, 1, 10, 11}));
  EXPECT_EQ(variant["values"][2].dump(), "[0.11,0.11,0.11,null]");
  EXPECT_EQ(variant["values"][3].dump(), "[null,null,null,0.5]");
}

// Rounding to nearest without text knows no errors of outputs: no map of nothing.
TEST(LayerError, StepsWithoutErrorsHaveNoMap) {
  JournalView journal = sample_journal();
  for (base::Json& row : journal.steps[1]["tables"]["layer_error"]) row["error_after"] = nullptr;
  EXPECT_TRUE(layer_error_figure(journal).is_null());
}

// Training and held-out curves that share a drawing share a unit.
TEST(Training, CurvesOfOneDrawingAreOfOneUnit) {
  const auto drawn = [](base::Json row) {
    JournalView journal = sample_journal();
    row["step"] = 10;
    journal.steps[0]["tables"]["training_curve"] =
        base::Json::array({row, {{"step", 10}, {"loss", nullptr}, {"validation_loss", 2.0}}});
    const base::Json curve = training_figure(journal)["curves"][0];
    return base::str_cat(curve["key"].get<std::string>(),
                         curve["held_out_apart"].get<bool>() ? " apart" : "");
  };
  EXPECT_EQ(drawn({{"loss", 2.5}, {"cross_entropy", 2.5}, {"divergence", nullptr}}), "loss");
  EXPECT_EQ(drawn({{"loss", 7.0}, {"cross_entropy", 2.5}, {"divergence", 3.0}}), "cross_entropy");
  EXPECT_EQ(drawn({{"loss", 3.0}, {"cross_entropy", nullptr}, {"divergence", 3.0}}),
            "divergence apart");
}

TEST(Training, SaysWhichTokensALossIsOf) {
  JournalView journal = sample_journal();
  EXPECT_EQ(training_figure(journal)["finding"], "Held-out loss ends at 2.100 (teacher)");
  journal.steps[0]["options"]["loss_on_prompt"] = false;
  EXPECT_EQ(training_figure(journal)["finding"],
            "Held-out loss ends at 2.100 (teacher, answers only)");
}

base::Json assumption(const base::Json& figure, std::string_view key) {
  for (const base::Json& one : figure["assumptions"]) {
    if (one["key"] == key) return one;
  }
  ADD_FAILURE() << "no assumption " << key;
  return nullptr;
}

TEST(Derived, AnUnknownPriceStaysUnknown) {
  JournalView journal = sample_journal();
  const auto derived = [&] {
    return derived_figure(journal,
                          collect_architectures(journal, collect_models(journal, "teacher")),
                          base::Json::array());
  };
  const auto price = [&] { return assumption(derived(), "price"); };
  EXPECT_TRUE(price()["value"].is_null());
  EXPECT_EQ(price()["source"], "not in the site file");
  journal.run_start["site"]["price"] = {
      {"per_kwh", 0.0}, {"currency", "EUR"}, {"year", 2024}, {"source", "own roof"}};
  EXPECT_EQ(price()["value"], 0.0);  // given as zero is known
  EXPECT_EQ(price()["source"], "own roof, 2024");
}

TEST(Derived, BothScopesAndWaterComeFromTheSiteFile) {
  JournalView journal = sample_journal();
  const auto value = [&](const char* key) {
    const base::Json architectures =
        collect_architectures(journal, collect_models(journal, "teacher"));
    return assumption(derived_figure(journal, architectures, base::Json::array()), key)["value"];
  };
  for (const char* key : {"market", "water", "embodied_low", "embodied_high"})
    EXPECT_TRUE(value(key).is_null()) << key;
  base::Json& site = journal.run_start["site"];
  site["market_intensity"] = {{"grams_per_kwh", 0}, {"year", 2024}, {"source", "contract"}};
  site["water"] = {{"liters_per_kwh", 0.2}, {"year", 2024}, {"source", "meter"}};
  site["hardware"] = {{"embodied_kg_co2e", {{"low", 87.6}, {"high", 175.2}}},
                      {"lifetime_years", 5},
                      {"year", 2024},
                      {"source", "maker"}};
  EXPECT_EQ(value("market"), 0);
  EXPECT_EQ(value("water"), 0.2);
  EXPECT_DOUBLE_EQ(value("embodied_low").get<double>(), 2);  // 87,600 g in 43,800 hours
  EXPECT_DOUBLE_EQ(value("embodied_high").get<double>(), 4);
  site["hardware"]["lifetime_years"] = nullptr;
  EXPECT_TRUE(value("embodied_low").is_null());
}

TEST(Derived, IsOfArchitectures) {
  const JournalView journal = sample_journal();
  const base::Json figure =
      derived_figure(journal, collect_architectures(journal, collect_models(journal, "teacher")),
                     base::Json::array());
  ASSERT_EQ(figure["rows"].size(), 1u);
  EXPECT_EQ(figure["rows"][0]["name"], "Llama 2L");
  EXPECT_EQ(figure["rows"][0]["joules"]["value"], 120.5);
  EXPECT_EQ(figure["rows"][0]["tokens_per_second"]["source"], "speed/teacher, speed/small/q4_0");
  EXPECT_EQ(assumption(figure, "intensity")["value"], 400);
}

// Of what was served the artifacts, and nothing of our own forward beside them.
TEST(Derived, IsOfArtifactsWhereTheyWereServed) {
  const JournalView journal = served_journal(40);
  const base::Json models = collect_models(journal, "teacher");
  const base::Json figure = derived_figure(journal, collect_architectures(journal, models),
                                           collect_served(journal, models, "teacher"));
  EXPECT_EQ(figure["name_title"], "artifact");
  ASSERT_EQ(figure["rows"].size(), 2u);
  EXPECT_EQ(figure["rows"][1]["name"], "gguf/small-q4_0");
  EXPECT_EQ(figure["rows"][1]["joules"]["value"], 40);
}

}  // namespace
}  // namespace frugal::report
