#include "model/layer_runner.h"

#include "model/decoder.h"
#include "model/toy.h"
#include "support/toy_model.h"

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

// The sums stand at the places of the batch, and none of them beyond the table.
TEST(LayerRunner, LearnedPositionsEndWithTheirTable) {
  const Decoder decoder = Decoder::create(test::toy_gpt2_config(16), 1, at::kCPU).value();
  const at::Tensor ids = at::arange(16, at::kLong).unsqueeze(0);
  const at::Tensor& table = decoder.parameters().at("transformer.wte.weight");
  const at::Tensor& positions = decoder.parameters().at("transformer.wpe.weight");
  EXPECT_TRUE(decoder.embed(ids).equal(table.slice(0, 0, 16).unsqueeze(0) + positions));
  const at::Tensor last = at::full({1, 1}, 15, at::kLong);
  EXPECT_TRUE(
      decoder.embed(ids.narrow(1, 3, 1), last).equal((table[3] + positions[15]).view({1, 1, 32})));
  try {
    decoder.logits({at::zeros({1, 17}, at::kLong), {}});
    FAIL() << "17 tokens have no positions";
  } catch (const c10::Error& error) {
    EXPECT_NE(
        std::string(error.what()).find("a sequence of 17 tokens is longer than the 16 positions"),
        std::string::npos);
  }
  KeyValueCache cache;
  decoder.logits({ids, {}}, &cache);
  EXPECT_THROW(decoder.logits({at::zeros({1, 1}, at::kLong), {}}, &cache), c10::Error);
}

}  // namespace
}  // namespace frugal::model
