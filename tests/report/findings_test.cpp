#include "report/findings.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "report/architectures.h"
#include "report/models.h"
#include "sample_journal.h"
#include "support/shared_data.h"

namespace frugal::report {
namespace {

using ::testing::HasSubstr;

// The figure with a model that is larger than small/q4_0 and less accurate.
base::Json tradeoff_with_a_worse_model(double joules) {
  JournalView journal = sample_journal();
  journal.steps.push_back(checkpoint_step("worse", "", "quantize", 2e6));
  journal.steps.push_back(evaluation_step("worse", 0.90, ""));
  journal.steps.push_back(measure_step("worse", joules));
  return tradeoff_figure(collect_models(journal, "teacher"), "sentiment/accuracy");
}

TEST(Tradeoff, MarksDominatedModels) {
  const base::Json figure = tradeoff_with_a_worse_model(100);
  ASSERT_EQ(figure["points"].size(), 3u);
  EXPECT_EQ(figure["x"], "weight_bytes");
  for (const base::Json& point : figure["points"])
    EXPECT_EQ(point["dominated"].get<bool>(), point["model"] == "worse") << point;
}

TEST(Tradeoff, TheFrontDoesNotDependOnJoules) {
  EXPECT_EQ(tradeoff_with_a_worse_model(1).dump(), tradeoff_with_a_worse_model(1000).dump());
}

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

TEST(Derived, AnUnknownPriceStaysUnknown) {
  JournalView journal = sample_journal();
  const auto derived = [&] {
    return derived_figure(journal,
                          collect_architectures(journal, collect_models(journal, "teacher")));
  };
  EXPECT_TRUE(derived()["assumptions"][2]["value"].is_null());
  EXPECT_EQ(derived()["assumptions"][2]["source"], "not in the site file");
  journal.run_start["site"]["price"] = {
      {"per_kwh", 0.0}, {"currency", "EUR"}, {"year", 2024}, {"source", "own roof"}};
  EXPECT_EQ(derived()["assumptions"][2]["value"], 0.0);  // given as zero is known
  EXPECT_EQ(derived()["assumptions"][2]["source"], "own roof, 2024");
}

TEST(Derived, IsOfArchitectures) {
  const JournalView journal = sample_journal();
  const base::Json figure =
      derived_figure(journal, collect_architectures(journal, collect_models(journal, "teacher")));
  ASSERT_EQ(figure["rows"].size(), 1u);
  EXPECT_EQ(figure["rows"][0]["architecture"], "Llama 2L");
  EXPECT_EQ(figure["rows"][0]["joules"]["value"], 120.5);
  EXPECT_EQ(figure["assumptions"][0]["value"], 400);
}

TEST(Steps, EnergyKeepsItsProvenance) {
  const base::Json figure = steps_figure(sample_journal());
  EXPECT_EQ(figure["rows"][0]["energy"]["value"], 50.0);
  EXPECT_EQ(figure["rows"][0]["energy"]["provenance"], "modelled");
}

}  // namespace
}  // namespace frugal::report
