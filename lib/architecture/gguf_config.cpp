#include "architecture/gguf_config.h"

#include <algorithm>
#include <cmath>

#include "architecture/family.h"
#include "architecture/gguf_names.h"
#include "base/text.h"

namespace frugal::architecture {
namespace {

Layer layer_of(const GgufNumbers& numbers, const Family& family, size_t index) {
  Layer layer;
  layer.before_attention = layer.before_feed_forward = Norm{.epsilon = numbers.epsilon};
  layer.feed_forward = {.width = numbers.feed_forward_width, .activation = family.graph.activation};
  layer.attention.heads = numbers.heads;
  layer.attention.key_value_heads = numbers.key_value_heads;
  layer.attention.head_size = numbers.head_size;
  const bool windowed = numbers.window && (numbers.windowed.empty() || numbers.windowed[index]);
  if (windowed) layer.attention.window = numbers.window;
  layer.attention.rope = windowed ? numbers.windowed_rope : numbers.rope;
  const int64_t period = family.graph.rotation_period;
  if (period > 0 && (static_cast<int64_t>(index) + 1) % period == 0)
    layer.attention.rope.channels = 0;
  if (numbers.experts) {
    layer.experts = Experts{.count = *numbers.experts,
                            .per_token = numbers.experts_per_token.value_or(0),
                            .normalized = family.graph.normalized_experts};
  }
  return layer;
}

// The config as the family writes it, with `extra` for what it reads and does not write.
base::Json written_config(const GgufNumbers& numbers, const Family& family, base::Json extra) {
  ModelConfig draft;
  draft.architecture = std::string(family.architecture);
  draft.model_type = std::string(family.model_type);
  draft.vocabulary_size = numbers.vocabulary_size;
  draft.hidden_size = numbers.hidden_size;
  draft.context_length = numbers.context_length;
  draft.final_norm.epsilon = numbers.epsilon;
  draft.tied_embeddings = numbers.tied_embeddings;
  draft.bos_token_ids = numbers.bos_token_ids;
  draft.eos_token_ids = numbers.eos_token_ids;
  draft.pad_token_id = numbers.pad_token_id;
  draft.embedding_scale = numbers.embedding_scale.value_or(1.0);
  for (size_t i = 0; i < static_cast<size_t>(numbers.layer_count); ++i)
    draft.layers.push_back(layer_of(numbers, family, i));
  draft.source = std::move(extra);
  return to_json(draft);
}

// What the family reads under keys of its own.
base::Json own_keys(const GgufNumbers& numbers, const Family& family) {
  base::Json keys = base::Json::object();
  if (family.graph.multipliers) {
    keys["attention_multiplier"] =
        numbers.score_scale.value_or(1 / std::sqrt(static_cast<double>(numbers.head_size)));
    keys["residual_multiplier"] = numbers.residual_scale.value_or(1.0);
    keys["logits_scaling"] = numbers.logit_divisor.value_or(1.0);
  }
  const Rope& rope = numbers.rope;
  if (rope.channels) {
    keys["partial_rotary_factor"] =
        static_cast<double>(*rope.channels) / static_cast<double>(numbers.head_size);
  }
  if (rope.scaling && rope.scaling->kind == RopeScaling::Kind::kLongRope)
    keys["original_max_position_embeddings"] = rope.scaling->original_max_position_embeddings;
  // Where only some layers have one, the family's own writer says which.
  if (numbers.window) keys["sliding_window"] = *numbers.window;
  return keys;
}

bool same_cap(const std::optional<double>& wanted, const std::optional<double>& found) {
  return !wanted || *wanted == found.value_or(0);
}

// Whether the layers are what the file says.
absl::Status check_layers(const GgufNumbers& numbers, const Family& family,
                          const ModelConfig& config, std::string_view where) {
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const Layer& found = config.layers[i];
    const Layer wanted = layer_of(numbers, family, i);
    const auto cannot_say = [&](std::string_view what) {
      return base::unimplemented(where, ": a config of ", config.architecture, " cannot say the ",
                                 what, " that layer ", i, " of this file has");
    };
    if (found.attention.heads != wanted.attention.heads ||
        found.attention.key_value_heads != wanted.attention.key_value_heads ||
        found.attention.head_size != wanted.attention.head_size)
      return cannot_say("heads");
    if (found.attention.window != wanted.attention.window ||
        found.attention.rope != wanted.attention.rope)
      return cannot_say("window or the rotary embedding");
    if (found.experts != wanted.experts) return cannot_say("experts");
    if (!same_cap(numbers.score_cap, found.attention.score_cap))
      return cannot_say("bound of scores");
    if (numbers.score_scale && found.attention.score_scale != *numbers.score_scale)
      return cannot_say("scale of scores");
    if (numbers.residual_scale.value_or(1.0) != found.residual_multiplier)
      return cannot_say("multiplier of residual additions");
  }
  return absl::OkStatus();
}

// The same of what stands outside of layers.
absl::Status check_ends(const GgufNumbers& numbers, const ModelConfig& config,
                        std::string_view where) {
  const auto cannot_say = [&](std::string_view what) {
    return base::unimplemented(where, ": a config of ", config.architecture, " cannot say the ",
                               what, " that this file has");
  };
  if (!same_cap(numbers.logit_cap, config.logit_rule.cap)) return cannot_say("bound of logits");
  if (numbers.logit_divisor && config.logit_rule.scale != 1 / *numbers.logit_divisor)
    return cannot_say("scale of logits");
  if (numbers.embedding_scale && config.embedding_scale != *numbers.embedding_scale)
    return cannot_say("scale of the embedding");
  return absl::OkStatus();
}

absl::StatusOr<ModelConfig> config_of_family(const GgufNumbers& numbers, const Family& family,
                                             std::string_view where) {
  base::Json extra = own_keys(numbers, family);
  const auto parse = [&] {
    return parse_model_config(written_config(numbers, family, extra), where);
  };
  FRUGAL_ASSIGN_OR_RETURN(ModelConfig config, parse());
  // Keys that not every family has are added where their absence does not say the same.
  const bool has_bias = config.layers.front().attention.input_bias;
  if (numbers.attention_bias && !has_bias) extra["attention_bias"] = true;
  if (numbers.feed_forward_bias && !config.layers.front().feed_forward.bias)
    extra["mlp_bias"] = true;
  const auto width = static_cast<double>(gguf_score_width(config));
  const double scale = config.layers.front().attention.score_scale;
  if (!family.graph.multipliers && std::fabs(scale * std::sqrt(width) - 1) > 1e-9)
    extra["query_pre_attn_scalar"] = gguf_score_width(config);
  const auto say_cap = [&](const char* key, const std::optional<double>& wanted,
                           const std::optional<double>& found) {
    if (same_cap(wanted, found)) return;
    extra[key] = *wanted == 0 ? base::Json() : base::Json(*wanted);
  };
  say_cap("attn_logit_softcapping", numbers.score_cap, config.layers.front().attention.score_cap);
  say_cap("final_logit_softcapping", numbers.logit_cap, config.logit_rule.cap);
  const auto& experts = config.layers.front().experts;
  if (experts && experts->normalized != family.graph.normalized_experts)
    extra["norm_topk_prob"] = family.graph.normalized_experts;
  FRUGAL_ASSIGN_OR_RETURN(config, parse());
  FRUGAL_RETURN_IF_ERROR(check_layers(numbers, family, config, where));
  FRUGAL_RETURN_IF_ERROR(check_ends(numbers, config, where));
  return config;
}

}  // namespace

std::vector<std::string> gguf_architectures() {
  std::vector<std::string> names;
  for (const Family* const family : families()) {
    std::string name(family->gguf);
    if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end())
      names.push_back(std::move(name));
  }
  return names;
}

absl::StatusOr<ModelConfig> config_of_gguf(const GgufNumbers& numbers, std::string_view where) {
  absl::Status first;
  for (const Family* const family : families()) {
    if (family->gguf != numbers.architecture) continue;
    if (family->graph.experts != numbers.experts.has_value()) continue;
    absl::StatusOr<ModelConfig> config = config_of_family(numbers, *family, where);
    if (config.ok()) return config;
    if (first.ok()) first = config.status();
  }
  if (!first.ok()) return first;
  return base::unimplemented(where, ": its architecture is '", numbers.architecture.substr(0, 80),
                             numbers.experts ? "' with experts" : "'",
                             "; frugal reads GGUF files of ",
                             base::join(gguf_architectures(), ", "));
}

}  // namespace frugal::architecture
