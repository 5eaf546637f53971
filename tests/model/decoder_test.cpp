#include "model/decoder.h"

#include <cmath>

#include "base/text.h"
#include "model/toy.h"

namespace frugal::model {
namespace {

// The walk over layers, as solvers do it: every matrix multiplied outside the model.
at::Tensor staged_hidden(const Decoder& decoder, const Batch& batch) {
  const AttentionContexts contexts = decoder.attention_contexts(batch);
  at::Tensor x = decoder.embed(batch.ids);
  for (int64_t layer = 0; layer < decoder.config().layer_count(); ++layer) {
    const LayerParameters small = decoder.layer_parameters(layer);
    LayerState state = decoder.runner().begin(layer, x, small);
    for (size_t stage = 0; stage < decoder.stages(layer).size(); ++stage) {
      std::vector<at::Tensor> outputs;
      for (const architecture::Tensor& matrix : decoder.stages(layer)[stage].matrices) {
        const at::Tensor weight = decoder.parameters().find(matrix.name)->second;
        outputs.push_back(at::matmul(state.input.rows, weight.t()));
      }
      decoder.runner().advance(state, {layer, stage}, outputs, small, contexts);
    }
    x = state.residual;
  }
  return decoder.final_norm(x);
}

TEST(Decoder, StagedRunEqualsWholeForward) {
  const Decoder decoder = toy::decoder();
  const Batch batch{toy::ids(2, 30), {}};
  EXPECT_LT(toy::largest_difference(staged_hidden(decoder, batch), decoder.hidden(batch)),
            toy::kFp32Tolerance);
}

TEST(Decoder, CachedDecodingEqualsTheFullForward) {
  const Decoder decoder = toy::decoder();
  const at::Tensor ids = toy::ids(2, 24);
  const at::Tensor full = decoder.logits({ids, {}});
  KeyValueCache cache;
  std::vector<at::Tensor> parts;
  // A prompt, a piece of several tokens behind it, then one by one.
  parts.push_back(decoder.logits({ids.narrow(1, 0, 10), {}}, &cache));
  parts.push_back(decoder.logits({ids.narrow(1, 10, 5), {}}, &cache));
  for (int64_t t = 15; t < 24; ++t)
    parts.push_back(decoder.logits({ids.narrow(1, t, 1), {}}, &cache));
  EXPECT_EQ(cache.length(), 24);
  EXPECT_LT(toy::largest_difference(tensor::concatenate(parts, 1), full), toy::kFp32Tolerance);
}

TEST(Decoder, SegmentsEqualSeparateSequences) {
  const Decoder decoder = toy::decoder();
  const at::Tensor ids = toy::ids(1, 24);
  // Two documents of 9 and 11 tokens and 4 of padding in one row.
  const at::Tensor segments =
      tensor::concatenate(
          {at::full({9}, 0, at::kInt), at::full({11}, 1, at::kInt), at::full({4}, -1, at::kInt)})
          .unsqueeze(0);
  const at::Tensor positions =
      tensor::concatenate(
          {at::arange(9, at::kLong), at::arange(11, at::kLong), at::arange(4, at::kLong)})
          .unsqueeze(0);
  const at::Tensor packed = decoder.logits({ids, positions, segments});
  EXPECT_LT(
      toy::largest_difference(packed.narrow(1, 0, 9), decoder.logits({ids.narrow(1, 0, 9), {}})),
      toy::kFp32Tolerance);
  EXPECT_LT(
      toy::largest_difference(packed.narrow(1, 9, 11), decoder.logits({ids.narrow(1, 9, 11), {}})),
      toy::kFp32Tolerance);
  EXPECT_TRUE(packed.isfinite().all().item<bool>());
}

TEST(Decoder, LaterTokensDoNotReachEarlierOnes) {
  const Decoder decoder = toy::decoder();
  const at::Tensor ids = toy::ids(1, 16);
  at::Tensor changed = ids.clone();
  changed[0][12] = (ids[0][12].item<int64_t>() + 1) % toy::kVocabulary;
  const at::Tensor before = decoder.logits({ids, {}}), after = decoder.logits({changed, {}});
  EXPECT_EQ(toy::largest_difference(before.narrow(1, 0, 12), after.narrow(1, 0, 12)), 0.0);
  EXPECT_GT(toy::largest_difference(before.narrow(1, 12, 4), after.narrow(1, 12, 4)), 1e-3);
}

TEST(Decoder, Bf16StaysCloseToFp32) {
  const Decoder decoder = toy::decoder();
  Decoder half = decoder.clone();
  for (const auto& [name, value] : decoder.parameters())
    half.set_parameter(name, value.to(at::kBFloat16));
  EXPECT_EQ(half.type(), at::kBFloat16);
  const Batch batch{toy::ids(2, 30), {}};
  const at::Tensor exact = decoder.logits(batch), rounded = half.logits(batch);
  EXPECT_EQ(rounded.scalar_type(), at::kFloat);
  // Some 30 roundings of relative size 2^-9 on the way, adding up as a random walk: 3 layers,
  // sqrt(30) / 512 = 1.1%.
  const double relative = ((rounded - exact).norm() / exact.norm()).item<double>();
  EXPECT_LT(relative, 0.03);
  EXPECT_GT(relative, 1e-4);
}

TEST(Decoder, UntiedHeadsAreUsed) {
  Decoder decoder = toy::decoder({{"tie_word_embeddings", false}});
  const Batch batch{toy::ids(1, 5), {}};
  const at::Tensor before = decoder.logits(batch);
  decoder.set_parameter("lm_head.weight", decoder.head().weight * 2.0);
  EXPECT_LT(toy::largest_difference(decoder.logits(batch), before * 2.0), toy::kFp32Tolerance);
  EXPECT_FALSE(toy::decoder().parameters().contains("lm_head.weight"));
}

TEST(Decoder, SaveAndLoadIsBitEqual) {
  for (const bool tied : {true, false}) {
    const Decoder decoder = toy::decoder({{"tie_word_embeddings", tied}});
    test::TemporaryFolder folder;
    FRUGAL_ASSERT_OK(decoder.save(folder.path(), format::DType::kF32));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, format::Checkpoint::open(folder.path()));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Decoder loaded, Decoder::load(checkpoint, {}));
    ASSERT_EQ(loaded.parameters().size(), decoder.parameters().size());
    for (const auto& [name, value] : decoder.parameters()) {
      EXPECT_TRUE(loaded.parameters().find(name)->second.equal(value)) << name;
    }
    const Batch batch{toy::ids(2, 9), {}};
    EXPECT_TRUE(loaded.logits(batch).equal(decoder.logits(batch)));
  }
}

TEST(Decoder, LoadsInBf16) {
  const Decoder decoder = toy::decoder();
  test::TemporaryFolder folder;
  FRUGAL_ASSERT_OK(decoder.save(folder.path(), format::DType::kBF16));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, format::Checkpoint::open(folder.path()));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Decoder loaded,
                              Decoder::load(checkpoint, {at::kBFloat16, at::kCPU}));
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  EXPECT_TRUE(loaded.parameters().find(name)->second.equal(
      decoder.parameters().find(name)->second.to(at::kBFloat16)));
}

TEST(Decoder, FreshWeightsHaveTheConfiguredSpread) {
  const base::Json shape = {
      {"hidden_size", 256}, {"intermediate_size", 512}, {"initializer_range", 0.05}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Decoder decoder,
                              Decoder::create(toy::config(shape), 7, at::kCPU));
  const auto deviation = [&](std::string_view matrix) {
    return decoder.parameters()
        .find(base::str_cat("model.layers.2.", matrix, ".weight"))
        ->second.std()
        .item<double>();
  };
  // 65,536 draws: the deviation's own error is 0.3%; five of those.
  EXPECT_NEAR(deviation("self_attn.q_proj"), 0.05, 0.05 * 0.014);
  EXPECT_NEAR(deviation("self_attn.o_proj"), 0.05 / std::sqrt(6.0), 0.05 / std::sqrt(6.0) * 0.014);
  EXPECT_NEAR(deviation("mlp.down_proj"), 0.05 / std::sqrt(6.0), 0.05 / std::sqrt(6.0) * 0.014);
  EXPECT_TRUE(decoder.parameters().find("model.norm.weight")->second.equal(at::ones({256})));
}

TEST(Decoder, TheSeedDecides) {
  const auto create = [](uint64_t seed) {
    return Decoder::create(toy::config(), seed, at::kCPU).value();
  };
  const std::string name = "model.layers.0.mlp.up_proj.weight";
  const auto weight = [&](uint64_t seed) { return create(seed).parameters().find(name)->second; };
  EXPECT_TRUE(weight(3).equal(weight(3)));
  EXPECT_FALSE(weight(3).equal(weight(4)));
}

TEST(Decoder, ClonesShareNothing) {
  const Decoder decoder = toy::decoder();
  const Decoder copy = decoder.clone();
  const Batch batch{toy::ids(1, 6), {}};
  const at::Tensor before = copy.logits(batch);
  for (const auto& [name, value] : decoder.parameters()) value.zero_();
  EXPECT_TRUE(copy.logits(batch).equal(before));
}

TEST(Decoder, WrongParametersAreRefused) {
  Decoder decoder = toy::decoder();
  EXPECT_THROW(decoder.set_parameter("model.norm.bias", at::ones({32})), c10::Error);
  EXPECT_THROW(decoder.set_parameter("model.norm.weight", at::ones({31})), c10::Error);
}

}  // namespace
}  // namespace frugal::model
