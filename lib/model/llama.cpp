#include "model/llama.h"

#include <ATen/ATen.h>

#include <utility>

#include "base/text.h"
#include "model/attention.h"
#include "model/normalize.h"
#include "model/rotary.h"

namespace frugal::model {
namespace {

enum LlamaStage : size_t { kAttentionIn, kAttentionOut, kMlpIn, kMlpOut };

class LlamaRunner final : public LayerRunner {
 public:
  explicit LlamaRunner(const format::ModelConfig& config)
      : heads_(config.head_count),
        key_value_heads_(config.key_value_head_count),
        head_size_(config.head_size),
        epsilon_(config.norm_epsilon) {}

  LayerState begin(const at::Tensor& x, const LayerParameters& parameters) const override {
    return {x, normalize(x, norm_weight(parameters, "input_layernorm.weight"))};
  }

  at::Tensor normalize(const at::Tensor& x, const at::Tensor& weight) const override {
    return rms_norm(x, weight, epsilon_);
  }

  void advance(LayerState& state, size_t stage, const std::vector<at::Tensor>& outputs,
               const LayerParameters& parameters, const AttentionContext& context,
               KeyValueCache* cache, int64_t cache_layer) const override {
    switch (stage) {
      case kAttentionIn:
        TORCH_CHECK(outputs.size() == 3, "stage attention_in has 3 outputs, got ", outputs.size());
        state.input = attention(outputs, context, cache, cache_layer);
        return;
      case kAttentionOut:
        state.residual = state.residual + outputs.at(0);
        state.input =
            normalize(state.residual, norm_weight(parameters, "post_attention_layernorm.weight"));
        return;
      case kMlpIn:
        TORCH_CHECK(outputs.size() == 2, "stage mlp_in has 2 outputs, got ", outputs.size());
        state.input = at::silu(outputs[0]).mul_(outputs[1]);
        return;
      case kMlpOut:
        state.residual = state.residual + outputs.at(0);
        state.input = at::Tensor();
        return;
    }
    TORCH_CHECK(false, "a Llama layer has 4 stages, asked for stage ", stage);
  }

 private:
  static const at::Tensor& norm_weight(const LayerParameters& parameters, std::string_view name) {
    const auto found = parameters.find(name);
    TORCH_CHECK(found != parameters.end(), "layer parameter ", std::string(name), " is missing");
    return found->second;
  }

  // [B, T, heads * D] -> [B, heads, T, D].
  at::Tensor split_heads(const at::Tensor& x, int64_t heads) const {
    return x.view({x.size(0), x.size(1), heads, head_size_}).transpose(1, 2);
  }

  at::Tensor attention(const std::vector<at::Tensor>& outputs, const AttentionContext& context,
                       KeyValueCache* cache, int64_t cache_layer) const {
    const at::Tensor query = rotate(split_heads(outputs[0], heads_), context.cosine, context.sine);
    at::Tensor key =
        rotate(split_heads(outputs[1], key_value_heads_), context.cosine, context.sine);
    at::Tensor value = split_heads(outputs[2], key_value_heads_);
    if (cache != nullptr && cache_layer >= 0) {
      std::tie(key, value) = cache->append(cache_layer, key, value);
    }
    const bool rounded = context.rounded && !context.mask.defined() && cache == nullptr;
    const at::Tensor mixed = rounded ? rounded_causal_attention(query, key, value)
                                     : grouped_query_attention(query, key, value, context.mask);
    return mixed.transpose(1, 2).reshape({mixed.size(0), mixed.size(2), heads_ * head_size_});
  }

  int64_t heads_, key_value_heads_, head_size_;
  double epsilon_;
};

absl::Status refuse_true(const base::Json& source, const char* key) {
  if (!source.is_object()) return absl::OkStatus();
  const auto found = source.find(key);
  if (found == source.end() || !found->is_boolean() || !found->get<bool>()) return absl::OkStatus();
  return base::unimplemented(
      "config.json: ", key,
      " = true, but the Llama forward has no biases; only false is supported");
}

absl::Status check_activation(const base::Json& source) {
  if (!source.is_object()) return absl::OkStatus();
  const auto found = source.find("hidden_act");
  if (found == source.end() || *found == "silu") return absl::OkStatus();
  return base::unimplemented("config.json: hidden_act = ", found->dump(),
                             ", but the Llama forward knows \"silu\" only");
}

absl::Status check_window(const format::ModelConfig& config) {
  if (!config.source.is_object()) return absl::OkStatus();
  const auto found = config.source.find("sliding_window");
  if (found == config.source.end() || !found->is_number_integer()) return absl::OkStatus();
  if (found->get<int64_t>() >= config.context_length) return absl::OkStatus();
  return base::unimplemented(
      "config.json: sliding_window = ", found->get<int64_t>(),
      " is shorter than max_position_embeddings = ", config.context_length,
      "; lower max_position_embeddings to the window to use the model inside it");
}

}  // namespace

std::vector<Stage> llama_stages() {
  return {
      {"attention_in",
       {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},
       false,
       "input_layernorm"},
      {"attention_out", {"self_attn.o_proj"}, true, "self_attn.v_proj"},
      {"mlp_in", {"mlp.gate_proj", "mlp.up_proj"}, false, "post_attention_layernorm"},
      {"mlp_out", {"mlp.down_proj"}, true, "mlp.up_proj"},
  };
}

absl::StatusOr<std::shared_ptr<const LayerRunner>> llama_runner(const format::ModelConfig& config) {
  FRUGAL_RETURN_IF_ERROR(refuse_true(config.source, "attention_bias"));
  FRUGAL_RETURN_IF_ERROR(refuse_true(config.source, "mlp_bias"));
  FRUGAL_RETURN_IF_ERROR(check_activation(config.source));
  FRUGAL_RETURN_IF_ERROR(check_window(config));
  return std::make_shared<LlamaRunner>(config);
}

}  // namespace frugal::model
