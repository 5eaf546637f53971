#include "pass/step_words.h"

#include <gtest/gtest.h>

namespace frugal::pass {
namespace {

using base::Json;

TEST(StepWords, SayTheOptionsThatTell) {
  EXPECT_EQ(step_in_words({{"pass", "quantize"},
                           {"options",
                            {{"grid", "q4_k"},
                             {"recipe", "fast"},
                             {"activations", "none"},
                             {"target_bits", 0.0},
                             {"swaps", 24},
                             {"calibration", "novels"}}},
                           {"tables", {{"layer_error", {{{"tokens", 512}}, {{"tokens", 8192}}}}}}}),
            "quantize: recipe fast, grid q4_k, calibrated on 8192 tokens of novels");
  EXPECT_EQ(step_in_words({{"pass", "quantize"}, {"options", {{"target_bits", 3.5}}}}),
            "quantize: target bits 3.5");
  EXPECT_EQ(step_in_words({{"pass", "export"}, {"options", {{"format", {"gguf", "onnx"}}}}}),
            "export: format gguf, onnx");
  EXPECT_EQ(step_in_words({{"pass", "rotate"}}), "rotate");
  EXPECT_EQ(step_in_words(Json::object()), "");
  EXPECT_EQ(step_in_words({{"pass", 3}, {"options", "text"}, {"tables", 1}}), "");
}

TEST(StepWords, CalibrationIsTheTextThatTheLayersSaw) {
  const Json rows = {{"layer_error", {{{"tokens", 64}}, {{"tokens", "many"}}, 7}}};
  const CalibrationUse use =
      calibration_of({{"options", {{"calibration", {"novels", "code"}}}}, {"tables", rows}});
  EXPECT_EQ(use.data, "novels, code");
  EXPECT_EQ(use.tokens, 64);
  EXPECT_EQ(calibration_of({{"options", {{"calibration", ""}}}, {"tables", rows}}).tokens, 0);
  EXPECT_EQ(calibration_of(Json::object()).data, "");
}

}  // namespace
}  // namespace frugal::pass
