#include "model/layer_runner.h"

#include "model/decoder.h"
#include "model/toy.h"

namespace frugal::model {
namespace {

TEST(LayerRunner, SharedKeysEqualRepeatedOnes) {
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

TEST(LayerRunner, StagesSayWhatTheyMiss) {
  const Decoder decoder = toy::decoder();
  const AttentionContexts contexts = decoder.attention_contexts({toy::ids(1, 4), {}});
  EXPECT_THROW(decoder.runner().begin(0, at::zeros({1, 4, 32}), {}), c10::Error);
  LayerState state;
  EXPECT_THROW(decoder.runner().advance(state, {0, 0}, {at::zeros({1, 4, 32})}, {}, contexts),
               c10::Error);
  EXPECT_THROW(decoder.runner().advance(state, {0, 4}, {}, {}, contexts), c10::Error);
}

}  // namespace
}  // namespace frugal::model
