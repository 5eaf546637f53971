#include "artifact/gguf/gguf_config_reader.h"

#include <gtest/gtest.h>

#include <cmath>

#include "artifact/gguf/gguf_values.h"
#include "gguf_files.h"

namespace frugal::artifact {
namespace {

using namespace frugal::test;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kUnimplemented = absl::StatusCode::kUnimplemented;

// A file of a small model: the numbers and an embedding, which is all that this reader looks at.
class GgufConfigReader : public ::testing::Test {
 protected:
  GgufConfigReader() {
    content_.metadata = {{"general.architecture", std::string("llama")},
                         {"llama.block_count", uint32_t{1}},
                         {"llama.context_length", uint32_t{128}},
                         {"llama.embedding_length", uint32_t{64}},
                         {"llama.feed_forward_length", uint32_t{96}},
                         {"llama.attention.head_count", uint32_t{4}},
                         {"llama.attention.layer_norm_rms_epsilon", 1e-5f}};
    content_.tensors = {{{"token_embd.weight", {300, 64}, format::ggml_type("F32").value()}, {}}};
  }
  absl::StatusOr<architecture::ModelConfig> read() {
    const auto path = folder_.path() / "x.gguf";
    write_gguf_content(path, content_);
    FRUGAL_ASSIGN_OR_RETURN(const auto file, format::GgufFile::open(path));
    return read_gguf_config(GgufValues(file, "x.gguf"));
  }
  void expect(absl::StatusCode code, const char* text) { FRUGAL_EXPECT_ERROR(read(), code, text); }
  TemporaryFolder folder_;
  GgufContent content_;
};

TEST_F(GgufConfigReader, DefaultsAreLlamaCpps) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto config, read());
  const architecture::Attention& attention = config.layers.front().attention;
  EXPECT_EQ(attention.key_value_heads, 4);
  EXPECT_EQ(attention.head_size, 16);
  EXPECT_EQ(attention.rope.theta, 10000);
  EXPECT_EQ(config.final_norm.epsilon, 1e-5);  // as it was before it became fp32
  EXPECT_EQ(config.vocabulary_size, 300);
  EXPECT_TRUE(config.tied_embeddings);
  EXPECT_TRUE(config.eos_token_ids.empty());
}

TEST_F(GgufConfigReader, NumbersOfEveryWidthAndOneForEachLayer) {
  content_.value("llama.context_length") = uint64_t{128};
  content_.value("llama.embedding_length") = int32_t{64};
  content_.value("llama.attention.head_count") = std::vector<int32_t>{4};
  content_.value("llama.attention.head_count_kv") = std::vector<uint32_t>{2, 2};
  content_.value("llama.rope.freq_base") = 5e5;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto config, read());
  EXPECT_EQ(config.layers.front().attention.key_value_heads, 2);
  EXPECT_EQ(config.layers.front().attention.rope.theta, 5e5);
  content_.value("llama.attention.head_count_kv") = std::vector<uint32_t>{2, 4};
  expect(kUnimplemented, "'llama.attention.head_count_kv' differs between layers (2, 4)");
}

TEST_F(GgufConfigReader, EndsOfTextAndTurn) {
  content_.value("tokenizer.ggml.bos_token_id") = uint32_t{1};
  content_.value("tokenizer.ggml.eos_token_id") = uint32_t{2};
  content_.value("tokenizer.ggml.eot_token_id") = uint32_t{7};
  content_.value("tokenizer.ggml.eom_token_id") = uint32_t{2};
  content_.value("tokenizer.ggml.padding_token_id") = uint32_t{3};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto config, read());
  EXPECT_EQ(config.bos_token_ids, (std::vector<int64_t>{1}));
  EXPECT_EQ(config.eos_token_ids, (std::vector<int64_t>{2, 7}));
  EXPECT_EQ(config.pad_token_id, 3);
}

TEST_F(GgufConfigReader, LinearScalingUnderBothNames) {
  content_.value("llama.rope.scaling.type") = std::string("linear");
  expect(kInvalid, "'llama.rope.scaling.factor' is missing");
  content_.value("llama.rope.scaling.factor") = 4.0f;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto config, read());
  EXPECT_EQ(config.layers.front().attention.rope.scaling->factor, 4);
  content_.erase("llama.rope.scaling.type");
  content_.erase("llama.rope.scaling.factor");
  content_.value("llama.rope.scale_linear") = 2.0f;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto former, read());
  EXPECT_EQ(former.layers.front().attention.rope.scaling->factor, 2);
  content_.value("llama.rope.scaling.type") = std::string("ntk");
  expect(kUnimplemented, "'llama.rope.scaling.type' is 'ntk'");
}

// As llama.cpp takes it: bounds by default, the factor of the tables by the paper's rule and the
// file's.
TEST_F(GgufConfigReader, YarnScaling) {
  content_.value("llama.rope.scaling.type") = std::string("yarn");
  content_.value("llama.rope.scaling.factor") = 4.0f;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto config, read());
  architecture::RopeScaling wanted{.kind = architecture::RopeScaling::Kind::kYarn, .factor = 4};
  wanted.original_max_position_embeddings = config.context_length;
  wanted.attention_factor = 0.1 * std::log(4.0) + 1.0;
  EXPECT_EQ(config.layers.front().attention.rope.scaling, wanted);
  content_.value("llama.rope.scaling.original_context_length") = uint32_t{16};
  content_.value("llama.rope.scaling.yarn_beta_fast") = 20.0f;
  content_.value("llama.rope.scaling.yarn_beta_slow") = 2.0f;
  content_.value("llama.rope.scaling.attn_factor") = 0.5f;
  wanted.original_max_position_embeddings = 16;
  wanted.beta_fast = 20;
  wanted.beta_slow = 2;
  wanted.attention_factor *= 0.5;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto own, read());
  EXPECT_EQ(own.layers.front().attention.rope.scaling, wanted);
  content_.erase("llama.rope.scaling.type");
  content_.erase("llama.rope.scaling.factor");
  expect(kUnimplemented, "'llama.rope.scaling.attn_factor' is 0.5, but the file scales by neither");
}

TEST_F(GgufConfigReader, NamesContradictions) {
  content_.value("llama.vocab_size") = uint32_t{301};
  expect(kInvalid, "'llama.vocab_size' is 301, but the tensor 'token_embd.weight' has 300 rows");
  content_.erase("llama.vocab_size");
  content_.value("llama.embedding_length") = uint32_t{128};
  expect(kInvalid, "'token_embd.weight' is [300, 64], but 'llama.embedding_length' is 128");
  content_.value("llama.embedding_length") = uint32_t{64};
  content_.value("llama.attention.head_count") = uint32_t{5};
  expect(kInvalid, "'llama.embedding_length' 64 is no multiple of 'llama.attention.head_count' 5");
  content_.value("llama.attention.head_count") = uint32_t{4};
  content_.value("llama.block_count") = uint32_t{4000000000};
  expect(kInvalid, "'llama.block_count' is 4000000000");
  content_.value("llama.block_count") = uint32_t{1000000000};
  expect(kInvalid, "but there are 1 tensors in the file");
}

TEST_F(GgufConfigReader, NamesWhatIsMissingOrOfAnotherType) {
  content_.value("llama.block_count") = std::string("one");
  expect(kInvalid, "'llama.block_count' is of another type than expected (an integer)");
  content_.value("llama.block_count") = uint32_t{0};
  expect(kInvalid, "'llama.block_count' is 0");
  content_.erase("llama.block_count");
  expect(kInvalid, "'llama.block_count' is missing");
  content_.value("llama.block_count") = uint32_t{1};
  content_.value("llama.attention.layer_norm_rms_epsilon") = -1.0f;
  expect(kInvalid, "expected a positive number");
  content_.value("general.architecture") = std::string("falcon");
  expect(kUnimplemented, "its architecture is 'falcon'; frugal reads GGUF files of llama, qwen2");
  content_.erase("general.architecture");
  expect(kInvalid, "'general.architecture' is missing");
}

TEST_F(GgufConfigReader, EpsilonOfLayerNorm) {
  for (auto& [key, value] : content_.metadata) {
    if (key.starts_with("llama.")) key.replace(0, 5, "gpt2");
  }
  content_.value("general.architecture") = std::string("gpt2");
  expect(kInvalid, "the key 'gpt2.attention.layer_norm_epsilon' is missing");
  content_.value("gpt2.attention.layer_norm_epsilon") = 1e-6f;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto config, read());
  EXPECT_EQ(config.architecture, "GPT2LMHeadModel");
  EXPECT_EQ(config.final_norm.epsilon, 1e-6);
}

TEST_F(GgufConfigReader, ExpertsNeedTheirRouters) {
  content_.value("llama.expert_count") = uint32_t{8};
  expect(kInvalid, "'llama.expert_used_count' is missing");
  content_.value("llama.expert_used_count") = uint32_t{2};
  expect(kInvalid,
         "'llama.expert_count' is 8, but the tensor 'blk.0.ffn_gate_inp.weight' is "
         "missing, expected [8, 64]");
  content_.value("llama.expert_count") = uint32_t{0};
  FRUGAL_EXPECT_OK(read());
  content_.value("llama.rope.dimension_count") = uint32_t{17};
  expect(kInvalid, "is 17 of a head of 16, expected an even number up to that");
}

TEST_F(GgufConfigReader, RefusesWhatWouldChangeTheComputation) {
  const auto refused = [&](const char* key, format::GgufValue value, const char* text) {
    content_.value(key) = std::move(value);
    expect(kUnimplemented, text);
    content_.erase(key);
  };
  refused("llama.rope.dimension_count", uint32_t{8}, "heads of this family turn as a whole");
  refused("llama.attention.value_length", uint32_t{32}, "'llama.attention.value_length' is 32");
  refused("llama.final_logit_softcapping", 30.0f, "cannot say the bound of logits");
  refused("llama.attn_logit_softcapping", 50.0f, "cannot say the bound of scores");
  refused("llama.residual_scale", 0.5f, "cannot say the multiplier of residual additions");
  refused("llama.logit_scale", 0.5f, "cannot say the scale of logits");
  refused("llama.attention.scale", 0.5f, "cannot say the scale of scores");
  refused("llama.embedding_scale", 0.5f, "cannot say the scale of the embedding");
  refused("llama.attention.causal", false, "the key 'llama.attention.causal' is not known");
  content_.value("llama.final_logit_softcapping") = 0.0f;
  FRUGAL_EXPECT_OK(read());
}

}  // namespace
}  // namespace frugal::artifact
