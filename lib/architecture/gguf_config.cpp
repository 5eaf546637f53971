#include "architecture/gguf_config.h"

#include <algorithm>
#include <cmath>

#include "architecture/family.h"
#include "architecture/gguf_names.h"
#include "base/text.h"

namespace frugal::architecture {
namespace {

Layer layer_of(const GgufNumbers& numbers, size_t index, Activation activation) {
  Layer layer;
  layer.before_attention = layer.before_feed_forward = Norm{.epsilon = numbers.epsilon};
  layer.feed_forward = {.width = numbers.feed_forward_width, .activation = activation};
  layer.attention.heads = numbers.heads;
  layer.attention.key_value_heads = numbers.key_value_heads;
  layer.attention.head_size = numbers.head_size;
  const bool windowed = numbers.window && (numbers.windowed.empty() || numbers.windowed[index]);
  if (windowed) layer.attention.window = numbers.window;
  layer.attention.rope = windowed ? numbers.windowed_rope : numbers.rope;
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
  const Activation activation = gguf_activation(numbers.architecture);
  for (size_t i = 0; i < static_cast<size_t>(numbers.layer_count); ++i)
    draft.layers.push_back(layer_of(numbers, i, activation));
  draft.source = std::move(extra);
  return to_json(draft);
}

// Whether the layers are what the file says.
absl::Status check_layers(const GgufNumbers& numbers, const ModelConfig& config,
                          std::string_view where) {
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const Attention& found = config.layers[i].attention;
    const Attention wanted = layer_of(numbers, i, Activation::kSilu).attention;
    if (found.window == wanted.window && found.rope == wanted.rope) continue;
    return base::unimplemented(where, ": a config of ", config.architecture,
                               " cannot say the window or the rotary embedding that layer ", i,
                               " of this file has");
  }
  return absl::OkStatus();
}

absl::StatusOr<ModelConfig> config_of_family(const GgufNumbers& numbers, const Family& family,
                                             std::string_view where) {
  base::Json extra = base::Json::object();
  const auto parse = [&] {
    return parse_model_config(written_config(numbers, family, extra), where);
  };
  // Where only some layers have one, the family's own writer says which.
  if (numbers.window && numbers.windowed.empty()) extra["sliding_window"] = *numbers.window;
  FRUGAL_ASSIGN_OR_RETURN(ModelConfig config, parse());
  // Keys that not every family has are added where their absence does not say the same.
  const bool has_bias = config.layers.front().attention.input_bias;
  if (numbers.attention_bias && !has_bias) extra["attention_bias"] = true;
  if (numbers.feed_forward_bias && !config.layers.front().feed_forward.bias)
    extra["mlp_bias"] = true;
  const auto width = static_cast<double>(gguf_score_width(config));
  const double scale = config.layers.front().attention.score_scale;
  if (std::fabs(scale * std::sqrt(width) - 1) > 1e-9)
    extra["query_pre_attn_scalar"] = gguf_score_width(config);
  FRUGAL_ASSIGN_OR_RETURN(config, parse());
  FRUGAL_RETURN_IF_ERROR(check_layers(numbers, config, where));
  return config;
}

}  // namespace

std::vector<std::string> gguf_architectures() {
  std::vector<std::string> names;
  for (const Family* const family : families()) {
    std::string name(family->gguf);
    if (family->gguf_imports && std::find(names.begin(), names.end(), name) == names.end())
      names.push_back(std::move(name));
  }
  return names;
}

absl::StatusOr<ModelConfig> config_of_gguf(const GgufNumbers& numbers, std::string_view where) {
  absl::Status first;
  for (const Family* const family : families()) {
    if (!family->gguf_imports || family->gguf != numbers.architecture) continue;
    absl::StatusOr<ModelConfig> config = config_of_family(numbers, *family, where);
    if (config.ok()) return config;
    if (first.ok()) first = config.status();
  }
  if (!first.ok()) return first;
  return base::unimplemented(where, ": its architecture is '", numbers.architecture.substr(0, 80),
                             "'; frugal reads GGUF files of ",
                             base::join(gguf_architectures(), ", "));
}

}  // namespace frugal::architecture
