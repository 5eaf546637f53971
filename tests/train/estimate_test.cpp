#include "train/estimate.h"

#include <gtest/gtest.h>

#include "support/toy_mixture.h"
#include "support/toy_model.h"

namespace frugal::train {
namespace {

using namespace frugal::test;
using architecture::ModelConfig;

constexpr int64_t kLength = 16, kTokens = 2 * kLength;

TrainingMemory memory(const ModelConfig& config, Precision precision = Precision::kFp32,
                      const ModelConfig* teacher = nullptr, TrainOptions options = {}) {
  options.batch_sequences = 2;
  options.chunk_tokens = 8;
  return training_memory(config, options, kLength, precision, teacher);
}

// Weights, gradients, two moments; the best weights once more, and a teacher.
TEST(TrainingMemory, HoldsSixteenBytesOfAParameter) {
  const ModelConfig config = toy_config({}), teacher = toy_config({.layers = 5});
  const int64_t parameters = config.parameter_count();
  EXPECT_EQ(memory(config).state, 16 * parameters);
  EXPECT_EQ(memory(config, Precision::kFp32, nullptr, {.keep_best = true}).state, 20 * parameters);
  EXPECT_EQ(memory(config, Precision::kFp32, &teacher, {.distillation_weight = 1}).state,
            16 * parameters + 4 * teacher.parameter_count());
  // In bf16 the matrices, and the few gains, once more; the embedding is looked up.
  EXPECT_EQ(memory(config, Precision::kBf16).state,
            16 * parameters + 2 * (parameters - config.vocabulary_size * config.hidden_size));
}

// C 32, H D 32, F 64: two norms' inputs, what query, key and value read, what gate and up read;
// heads' queries, keys, values, mix and its channels; gate, its activation, up, their product.
TEST(TrainingMemory, CountsWhatALayerKeeps) {
  const ModelConfig one = toy_config({.layers = 1}), three = toy_config({.layers = 3});
  EXPECT_EQ(memory(one).activations, kTokens * 4 * (4 * 32 + 5 * 32 + 4 * 64));
  EXPECT_EQ(memory(three).activations, 3 * memory(one).activations);
  // Products in bf16, and what five matrices read for each of them; residuals stay fp32.
  EXPECT_EQ(memory(one, Precision::kBf16).activations,
            kTokens * (4 * 2 * 32 + 2 * (5 * 32 + 5 * 32 + 4 * 64)));
}

// C 32, H D 32, F 128: centered inputs, two matrices, one activation.
TEST(TrainingMemory, CountsAPlainFeedForwardAndLayerNorm) {
  EXPECT_EQ(memory(toy_gpt2_config()).activations,
            2 * kTokens * 4 * (4 * 32 + 2 * 32 + 5 * 32 + 2 * 128));
}

// C 16, H D 16, F 12: what the router reads once, and for each of two experts a token's rows, its
// neurons four times, its output.
TEST(TrainingMemory, CountsTheExpertsOfAToken) {
  const ModelConfig config = toy_mixture_config({.layers = 1});
  EXPECT_EQ(memory(config).activations,
            kTokens * 4 * (2 * 16 + 16 + 5 * 16 + 16 + 2 * (16 + 4 * 12 + 16)));
  EXPECT_EQ(memory(toy_mixture_config({.layers = 1, .experts = 9})).activations,
            memory(config).activations);
}

// V 50: three numbers of each logit of eight tokens, three tables of gradients, hidden states.
TEST(TrainingMemory, CountsTheLogitsOfAChunk) {
  const ModelConfig config = toy_config({});
  const int64_t rest = 12 * 50 * 32 + 12 * kTokens * 32;
  EXPECT_EQ(memory(config).head, 8 * 50 * 12 + rest);
  EXPECT_EQ(memory(config, Precision::kBf16).head, 8 * 50 * 16 + rest);
  EXPECT_EQ(memory(config, Precision::kFp32, &config, {.distillation_weight = 0.5}).head,
            8 * 50 * 32 + rest);
  EXPECT_EQ(memory(config).total(),
            memory(config).state + memory(config).activations + memory(config).head);
}

}  // namespace
}  // namespace frugal::train
