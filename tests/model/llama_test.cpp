#include "model/llama.h"

#include "model/toy.h"

namespace frugal::model {
namespace {

// Configs as parse_model_config might let them through: the runner itself must refuse what it would
// compute wrongly.
format::ModelConfig with(const char* key, const base::Json& value) {
  format::ModelConfig config = toy::config();
  config.source[key] = value;
  return config;
}

TEST(Llama, WhatTheForwardWouldGetWrongIsRefused) {
  FRUGAL_EXPECT_ERROR(llama_runner(with("attention_bias", true)), absl::StatusCode::kUnimplemented,
                      "attention_bias = true");
  FRUGAL_EXPECT_ERROR(llama_runner(with("mlp_bias", true)), absl::StatusCode::kUnimplemented,
                      "mlp_bias = true");
  FRUGAL_EXPECT_ERROR(llama_runner(with("hidden_act", "gelu")), absl::StatusCode::kUnimplemented,
                      "\"gelu\"");
  FRUGAL_EXPECT_ERROR(llama_runner(with("sliding_window", 16)), absl::StatusCode::kUnimplemented,
                      "sliding_window = 16 is shorter than max_position_embeddings = 64");
}

TEST(Llama, HarmlessSettingsAreTaken) {
  FRUGAL_EXPECT_OK(llama_runner(with("sliding_window", nullptr)));
  FRUGAL_EXPECT_OK(llama_runner(with("sliding_window", 64)));
  FRUGAL_EXPECT_OK(llama_runner(with("attention_bias", false)));
}

TEST(Llama, SharedKeysEqualRepeatedOnes) {
  const Decoder shared = toy::decoder();
  Decoder repeated = toy::decoder({{"num_key_value_heads", 4}});
  for (const auto& [name, value] : shared.parameters()) {
    const bool grouped =
        name.find("k_proj") != std::string::npos || name.find("v_proj") != std::string::npos;
    repeated.set_parameter(
        name, grouped ? value.view({2, 8, 32}).repeat_interleave(2, 0).reshape({32, 32}) : value);
  }
  const Batch batch{toy::ids(2, 20), {}};
  EXPECT_LT(toy::largest_difference(shared.logits(batch), repeated.logits(batch)),
            toy::kFp32Tolerance);
}

TEST(Llama, StagesSayWhatTheyMiss) {
  const Decoder decoder = toy::decoder();
  const AttentionContext context = decoder.attention_context({toy::ids(1, 4), {}});
  EXPECT_THROW(decoder.runner().begin(at::zeros({1, 4, 32}), {}), c10::Error);
  LayerState state;
  EXPECT_THROW(decoder.runner().advance(state, 0, {at::zeros({1, 4, 32})}, {}, context),
               c10::Error);
  EXPECT_THROW(decoder.runner().advance(state, 4, {}, {}, context), c10::Error);
}

}  // namespace
}  // namespace frugal::model
