#include "architecture/gguf_names.h"

#include <gtest/gtest.h>

#include "architecture/tiny_config.h"

namespace frugal::architecture {
namespace {

using test::parsed;
using test::tiny_config_json;
using test::tiny_gemma3;

TEST(GgufNames, AreTheWayBackToRoles) {
  for (const ModelConfig& config :
       {test::tiny_config(), parsed(tiny_config_json("Qwen2ForCausalLM", "qwen2")),
        parsed(tiny_config_json("Qwen3ForCausalLM", "qwen3")), tiny_gemma3()}) {
    for (const Tensor& tensor : tensors(config)) {
      const auto place = gguf_place(gguf_tensor_name(tensor.role, tensor.layer));
      ASSERT_TRUE(place.has_value()) << tensor.name;
      EXPECT_EQ(place->role, tensor.role) << tensor.name;
      EXPECT_EQ(place->layer, tensor.layer) << tensor.name;
    }
  }
}

TEST(GgufNames, AreLlamaCpps) {
  EXPECT_EQ(gguf_tensor_name(Role::kEmbedding), "token_embd.weight");
  EXPECT_EQ(gguf_tensor_name(Role::kKeyBias, 12), "blk.12.attn_k.bias");
  EXPECT_EQ(gguf_tensor_name(Role::kNormAfterFeedForward, 0), "blk.0.post_ffw_norm.weight");
}

TEST(GgufNames, FusedOnesShareAName) {
  const ModelConfig phi = parsed(tiny_config_json("Phi3ForCausalLM", "phi3"));
  for (const Role role : {Role::kQuery, Role::kKey, Role::kValue})
    EXPECT_EQ(gguf_stored_name(phi, role, 1), "blk.1.attn_qkv.weight");
  for (const Role role : {Role::kGate, Role::kUp})
    EXPECT_EQ(gguf_stored_name(phi, role, 0), "blk.0.ffn_up.weight");
  EXPECT_EQ(gguf_stored_name(phi, Role::kDown, 1), "blk.1.ffn_down.weight");
  EXPECT_EQ(gguf_stored_name(test::tiny_config(), Role::kUp, 1), "blk.1.ffn_up.weight");
  EXPECT_EQ(gguf_stored_name(test::tiny_config(), Role::kGate, 1), "blk.1.ffn_gate.weight");
}

// GPT-2's: biases of norms, positions, and biases of fused matrices.
TEST(GgufNames, BiasesOfFusedMatricesAreFused) {
  const ModelConfig gpt2 = parsed(test::tiny_gpt2_json());
  for (const Role role : {Role::kQueryBias, Role::kKeyBias, Role::kValueBias})
    EXPECT_EQ(gguf_stored_name(gpt2, role, 1), "blk.1.attn_qkv.bias");
  EXPECT_EQ(gguf_stored_name(gpt2, Role::kQuery, 1), "blk.1.attn_qkv.weight");
  EXPECT_EQ(gguf_stored_name(gpt2, Role::kUpBias, 1), "blk.1.ffn_up.bias");
  EXPECT_EQ(gguf_stored_name(gpt2, Role::kNormBeforeAttentionBias, 1), "blk.1.attn_norm.bias");
  EXPECT_EQ(gguf_stored_name(gpt2, Role::kFinalNormBias, kNoLayer), "output_norm.bias");
  EXPECT_EQ(gguf_stored_name(gpt2, Role::kPositions, kNoLayer), "position_embd.weight");
  EXPECT_EQ(gguf_architecture(gpt2).value(), "gpt2");
}

TEST(GgufNames, WhatIsNoTensorOfOursHasNoPlace) {
  for (const char* name : {"", "blk.", "blk.0", "blk.-1.attn_q.weight", "blk.0.attn_q",
                           "blk.0.attn_z.weight", "attn_q.weight", "blk.0.token_embd.weight",
                           "blk.0.attn_q_norm.bias", "rope_freqs.weight"}) {
    EXPECT_FALSE(gguf_place(name).has_value()) << name;
  }
}

TEST(GgufArchitecture, RefusesWhatLlamaCppComputesOtherwise) {
  EXPECT_EQ(gguf_architecture(test::tiny_config()).value(), "llama");
  EXPECT_EQ(gguf_architecture(tiny_gemma3()).value(), "gemma3");
  const auto no = absl::StatusCode::kUnimplemented;
  base::Json json = tiny_config_json("MistralForCausalLM", "mistral", {{"sliding_window", 64}});
  FRUGAL_EXPECT_ERROR(gguf_architecture(parsed(json)), no,
                      "llama.cpp's llama has no sliding window, but layer 0 sees 64 tokens");
  json = tiny_config_json("Phi3ForCausalLM", "phi3", {{"head_dim", 4}});
  FRUGAL_EXPECT_ERROR(gguf_architecture(parsed(json)), no,
                      "layer 0 has 4 heads and 2 key/value heads of 4 and 32 channels");
  json["head_dim"] = 8;
  EXPECT_EQ(gguf_architecture(parsed(json)).value(), "phi3");
  json = tiny_config_json();
  json["hidden_act"] = "relu";
  FRUGAL_EXPECT_ERROR(gguf_architecture(parsed(json)), no, "computes silu, but layer 0 has relu");
}

TEST(GgufArchitecture, OnlyLlamaInterleavesHeads) {
  const ModelConfig llama = test::tiny_config(), gemma = tiny_gemma3();
  EXPECT_EQ(gguf_interleaved_heads(llama, Role::kQuery, 0), 4);
  EXPECT_EQ(gguf_interleaved_heads(llama, Role::kKeyBias, 1), 2);
  EXPECT_EQ(gguf_interleaved_heads(llama, Role::kValue, 0), 0);
  EXPECT_EQ(gguf_interleaved_heads(llama, Role::kEmbedding, kNoLayer), 0);
  EXPECT_EQ(gguf_interleaved_heads(gemma, Role::kQuery, 0), 0);
}

}  // namespace
}  // namespace frugal::architecture
