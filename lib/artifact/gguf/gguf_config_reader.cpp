#include "artifact/gguf/gguf_config_reader.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#include "architecture/gguf_config.h"
#include "architecture/gguf_names.h"
#include "artifact/gguf/gguf_tensors.h"
#include "artifact/gguf/hyperparameters.h"
#include "artifact/gguf/rope_factors.h"
#include "base/text.h"

namespace frugal::artifact {
namespace {

using architecture::GgufNumbers;
using architecture::Role;
using architecture::Rope;
using architecture::RopeScaling;
using base::str_cat;

constexpr int64_t kMaxNumber = int64_t{1} << 31;  // keys are of type U32

// Keys of an architecture that are read here.
constexpr std::array<std::string_view, 33> kRead = {"block_count",
                                                    "context_length",
                                                    "embedding_length",
                                                    "feed_forward_length",
                                                    "attention.head_count",
                                                    "attention.head_count_kv",
                                                    "attention.key_length",
                                                    "attention.value_length",
                                                    "attention.layer_norm_epsilon",
                                                    "attention.layer_norm_rms_epsilon",
                                                    "attention.sliding_window",
                                                    "attention.sliding_window_pattern",
                                                    "rope.dimension_count",
                                                    "rope.freq_base",
                                                    "rope.freq_base_swa",
                                                    "rope.scaling.type",
                                                    "rope.scaling.factor",
                                                    "rope.scaling.finetuned",
                                                    "rope.scaling.original_context_length",
                                                    "rope.scale_linear",
                                                    "vocab_size",
                                                    "expert_count",
                                                    "expert_used_count",
                                                    "expert_feed_forward_length",
                                                    "attn_logit_softcapping",
                                                    "final_logit_softcapping",
                                                    "attention.scale",
                                                    "embedding_scale",
                                                    "residual_scale",
                                                    "logit_scale",
                                                    "rope.scaling.attn_factor",
                                                    "rope.scaling.yarn_beta_fast",
                                                    "rope.scaling.yarn_beta_slow"};
// Those that say nothing about what is computed.
constexpr std::array<std::string_view, 2> kSilent = {"tensor_data_layout", "use_parallel_residual"};
// Those that do not where they are zero.
constexpr std::array<std::string_view, 4> kOffAtZero = {
    "attention.clamp_kqv", "attention.max_alibi_bias", "expert_shared_count",
    "leading_dense_block_count"};

template <size_t N>
bool holds(const std::array<std::string_view, N>& list, std::string_view key) {
  return std::find(list.begin(), list.end(), key) != list.end();
}

class Reader {
 public:
  explicit Reader(const GgufValues& values) : values_(values) {}

  absl::StatusOr<architecture::ModelConfig> read() {
    FRUGAL_RETURN_IF_ERROR(read_architecture());
    FRUGAL_RETURN_IF_ERROR(check_keys());
    FRUGAL_RETURN_IF_ERROR(read_sizes());
    FRUGAL_RETURN_IF_ERROR(read_heads());
    FRUGAL_RETURN_IF_ERROR(read_experts());
    FRUGAL_RETURN_IF_ERROR(read_scales());
    FRUGAL_RETURN_IF_ERROR(read_rope());
    FRUGAL_RETURN_IF_ERROR(read_windows());
    FRUGAL_RETURN_IF_ERROR(read_token_ids());
    return architecture::config_of_gguf(numbers_, values_.where());
  }

 private:
  template <typename... Parts>
  absl::Status refused(const Parts&... parts) const {
    return base::invalid_argument(values_.where(), ": ", parts...);
  }
  std::string key(std::string_view name) const { return str_cat(numbers_.architecture, ".", name); }
  bool has(Role role, int64_t layer = architecture::kNoLayer) const {
    return values_.file().find_tensor(architecture::gguf_tensor_name(role, layer)) != nullptr;
  }

  absl::Status read_architecture() {
    FRUGAL_ASSIGN_OR_RETURN(const auto name, values_.text("general.architecture"));
    const std::vector<std::string> known = architecture::gguf_architectures();
    if (!name) {
      return refused("the key 'general.architecture' is missing; expected one of ",
                     base::join(known, ", "));
    }
    if (std::find(known.begin(), known.end(), *name) == known.end()) {
      return base::unimplemented(values_.where(), ": its architecture is '", name->substr(0, 80),
                                 "'; frugal reads GGUF files of ", base::join(known, ", "));
    }
    numbers_.architecture = *name;
    return absl::OkStatus();
  }

  // Whatever an architecture has a key for changes what is computed, so that none may be passed
  // over.
  absl::Status check_keys() const {
    for (const auto& [name, value] : values_.file().metadata()) {
      if (!name.starts_with(numbers_.architecture + ".")) continue;
      const std::string_view rest = std::string_view(name).substr(numbers_.architecture.size() + 1);
      if (holds(kRead, rest) || holds(kSilent, rest)) continue;
      if (holds(kOffAtZero, rest)) {
        FRUGAL_ASSIGN_OR_RETURN(const auto number, values_.number(name));
        if (*number == 0) continue;
        return base::unimplemented(values_.where(), ": '", name, "' is ", *number,
                                   "; frugal supports only 0");
      }
      return base::unimplemented(values_.where(), ": the key '", name.substr(0, 120),
                                 "' is not known, and what it changes would be passed over; take "
                                 "the model's Hugging Face folder instead");
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::optional<int64_t>> optional_number(std::string_view name) const {
    // Some writers have one number for each layer.
    if (const auto list = values_.integers(key(name)); list.ok() && *list) {
      const std::vector<int64_t>& each = **list;
      if (each.empty()) return refused("'", key(name), "' is an empty array");
      for (const int64_t other : each) {
        if (other == each.front()) continue;
        return base::unimplemented(values_.where(), ": '", key(name), "' differs between layers (",
                                   each.front(), ", ", other, "); frugal reads equal layers");
      }
      return in_range(name, each.front());
    }
    FRUGAL_ASSIGN_OR_RETURN(const auto value, values_.integer(key(name)));
    if (!value) return std::nullopt;
    return in_range(name, *value);
  }
  absl::StatusOr<std::optional<int64_t>> in_range(std::string_view name, int64_t value) const {
    if (value >= 0 && value <= kMaxNumber) return std::optional(value);
    return refused("'", key(name), "' is ", value, ", expected 0 to ", kMaxNumber);
  }
  absl::StatusOr<int64_t> number(std::string_view name) const {
    FRUGAL_ASSIGN_OR_RETURN(const auto value, optional_number(name));
    if (value && *value > 0) return *value;
    if (value) return refused("'", key(name), "' is 0");
    return refused("the key '", key(name), "' is missing");
  }
  absl::StatusOr<std::optional<double>> positive(std::string_view name) const {
    FRUGAL_ASSIGN_OR_RETURN(const auto value, values_.number(key(name)));
    if (!value || (std::isfinite(*value) && *value > 0)) return value;
    return refused("'", key(name), "' is ", *value, ", expected a positive number");
  }

  absl::Status read_sizes() {
    FRUGAL_ASSIGN_OR_RETURN(numbers_.layer_count, number("block_count"));
    const auto tensors = static_cast<int64_t>(values_.file().tensors().size());
    if (numbers_.layer_count > std::min(architecture::kMaxGgufLayers, tensors)) {
      return refused("'", key("block_count"), "' is ", numbers_.layer_count, ", but there are ",
                     tensors, " tensors in the file; at most ", architecture::kMaxGgufLayers,
                     " layers are read");
    }
    FRUGAL_ASSIGN_OR_RETURN(numbers_.hidden_size, number("embedding_length"));
    FRUGAL_ASSIGN_OR_RETURN(numbers_.context_length, number("context_length"));
    const std::string_view epsilon_key = gguf_epsilon_key(numbers_.architecture);
    FRUGAL_ASSIGN_OR_RETURN(const auto epsilon, positive(epsilon_key));
    if (!epsilon) return refused("the key '", key(epsilon_key), "' is missing");
    numbers_.epsilon = *epsilon;
    return read_vocabulary();
  }

  absl::Status read_vocabulary() {
    const std::string name = architecture::gguf_tensor_name(Role::kEmbedding);
    const format::GgufTensor* embedding = values_.file().find_tensor(name);
    if (embedding == nullptr) return refused("the tensor '", name, "' is missing");
    if (embedding->shape.size() != 2 || embedding->shape[1] != numbers_.hidden_size) {
      return refused("the tensor '", name, "' is ", format::shape_text(embedding->shape), ", but '",
                     key("embedding_length"), "' is ", numbers_.hidden_size);
    }
    numbers_.vocabulary_size = embedding->shape[0];
    FRUGAL_ASSIGN_OR_RETURN(const auto size, optional_number("vocab_size"));
    if (size && *size != numbers_.vocabulary_size) {
      return refused("'", key("vocab_size"), "' is ", *size, ", but the tensor '", name, "' has ",
                     numbers_.vocabulary_size, " rows");
    }
    numbers_.tied_embeddings = !has(Role::kHead);
    numbers_.attention_bias = has(Role::kQueryBias, 0);
    numbers_.feed_forward_bias = has(Role::kGateBias, 0);
    return absl::OkStatus();
  }

  absl::Status read_heads() {
    FRUGAL_ASSIGN_OR_RETURN(numbers_.heads, number("attention.head_count"));
    FRUGAL_ASSIGN_OR_RETURN(const auto key_value, optional_number("attention.head_count_kv"));
    numbers_.key_value_heads = key_value.value_or(numbers_.heads);
    FRUGAL_ASSIGN_OR_RETURN(const auto key_length, optional_number("attention.key_length"));
    if (!key_length && numbers_.hidden_size % numbers_.heads != 0) {
      return refused("'", key("attention.key_length"), "' is missing, and '",
                     key("embedding_length"), "' ", numbers_.hidden_size, " is no multiple of '",
                     key("attention.head_count"), "' ", numbers_.heads);
    }
    numbers_.head_size = key_length.value_or(numbers_.hidden_size / numbers_.heads);
    FRUGAL_ASSIGN_OR_RETURN(const auto value_length, optional_number("attention.value_length"));
    if (value_length.value_or(numbers_.head_size) != numbers_.head_size) {
      return base::unimplemented(values_.where(), ": '", key("attention.value_length"), "' is ",
                                 *value_length, ", but keys have ", numbers_.head_size,
                                 "; frugal reads heads of one size");
    }
    FRUGAL_ASSIGN_OR_RETURN(const auto turned, optional_number("rope.dimension_count"));
    if (turned.value_or(numbers_.head_size) == numbers_.head_size) return absl::OkStatus();
    if (*turned > 0 && *turned < numbers_.head_size && *turned % 2 == 0) {
      numbers_.rope.channels = *turned;
      return absl::OkStatus();
    }
    return refused("'", key("rope.dimension_count"), "' is ", *turned, " of a head of ",
                   numbers_.head_size, ", expected an even number up to that");
  }

  // Experts may have a width of their own.
  absl::Status read_experts() {
    FRUGAL_ASSIGN_OR_RETURN(const auto experts, optional_number("expert_count"));
    FRUGAL_ASSIGN_OR_RETURN(const auto width, optional_number("expert_feed_forward_length"));
    if (experts.value_or(0) > 0) {
      numbers_.experts = *experts;
      FRUGAL_ASSIGN_OR_RETURN(numbers_.experts_per_token, number("expert_used_count"));
      FRUGAL_RETURN_IF_ERROR(check_router(*experts));
    }
    if (numbers_.experts && width.value_or(0) > 0) {
      numbers_.feed_forward_width = *width;
      return absl::OkStatus();
    }
    FRUGAL_ASSIGN_OR_RETURN(numbers_.feed_forward_width, number("feed_forward_length"));
    return absl::OkStatus();
  }

  // The router of every layer has a row for each expert, which bounds how many there may be.
  absl::Status check_router(int64_t experts) const {
    const std::vector<int64_t> wanted = {experts, numbers_.hidden_size};
    for (int64_t layer = 0; layer < numbers_.layer_count; ++layer) {
      const std::string name = architecture::gguf_tensor_name(Role::kRouter, layer);
      const format::GgufTensor* router = values_.file().find_tensor(name);
      if (router != nullptr && router->shape == wanted) continue;
      return refused("'", key("expert_count"), "' is ", experts, ", but the tensor '", name,
                     "' is ",
                     router == nullptr ? std::string("missing") : format::shape_text(router->shape),
                     ", expected ", format::shape_text(wanted));
    }
    return absl::OkStatus();
  }

  // Zero stands for what is not there.
  absl::StatusOr<std::optional<double>> not_negative(std::string_view name) const {
    FRUGAL_ASSIGN_OR_RETURN(const auto value, values_.number(key(name)));
    if (!value || (std::isfinite(*value) && *value >= 0)) return value;
    return refused("'", key(name), "' is ", *value, ", expected a number from 0 on");
  }

  absl::Status read_scales() {
    FRUGAL_ASSIGN_OR_RETURN(numbers_.score_cap, not_negative("attn_logit_softcapping"));
    FRUGAL_ASSIGN_OR_RETURN(numbers_.logit_cap, not_negative("final_logit_softcapping"));
    for (const auto& [name, to] : {std::pair{"attention.scale", &numbers_.score_scale},
                                   std::pair{"embedding_scale", &numbers_.embedding_scale},
                                   std::pair{"residual_scale", &numbers_.residual_scale},
                                   std::pair{"logit_scale", &numbers_.logit_divisor}}) {
      FRUGAL_ASSIGN_OR_RETURN(*to, not_negative(name));
      if (*to == 0.0) to->reset();
    }
    return absl::OkStatus();
  }

  // llama.cpp multiplies what the paper's rule gives by this factor of the file.
  absl::StatusOr<RopeScaling> read_yarn(double factor) const {
    RopeScaling scaling{.kind = RopeScaling::Kind::kYarn, .factor = factor};
    FRUGAL_ASSIGN_OR_RETURN(const auto original,
                            optional_number("rope.scaling.original_context_length"));
    scaling.original_max_position_embeddings = original.value_or(numbers_.context_length);
    FRUGAL_ASSIGN_OR_RETURN(const auto fast, positive("rope.scaling.yarn_beta_fast"));
    FRUGAL_ASSIGN_OR_RETURN(const auto slow, positive("rope.scaling.yarn_beta_slow"));
    FRUGAL_ASSIGN_OR_RETURN(const auto more, positive("rope.scaling.attn_factor"));
    scaling.beta_fast = fast.value_or(scaling.beta_fast);
    scaling.beta_slow = slow.value_or(scaling.beta_slow);
    scaling.attention_factor =
        (factor <= 1.0 ? 1.0 : 0.1 * std::log(factor) + 1.0) * more.value_or(1.0);
    return scaling;
  }

  // Both sets of longrope, by which some graphs turn where the file has them.
  absl::StatusOr<std::optional<RopeScaling>> read_long_factors() const {
    RopeScaling scaling{.kind = RopeScaling::Kind::kLongRope, .factor = 1.0};
    for (const auto& [name, to] : {std::pair{kGgufShortFactors, &scaling.short_factors},
                                   std::pair{kGgufLongFactors, &scaling.long_factors}}) {
      FRUGAL_ASSIGN_OR_RETURN(const auto factors, read_factor_tensor(name));
      for (const float factor : factors) to->push_back(shortest_decimal(factor));
    }
    if (scaling.short_factors.empty() && scaling.long_factors.empty()) return std::nullopt;
    if (scaling.short_factors.size() != scaling.long_factors.size()) {
      return refused("of the tensors '", kGgufShortFactors, "' and '", kGgufLongFactors,
                     "' only one is there");
    }
    FRUGAL_ASSIGN_OR_RETURN(const auto original,
                            optional_number("rope.scaling.original_context_length"));
    FRUGAL_ASSIGN_OR_RETURN(const auto attention, positive("rope.scaling.attn_factor"));
    scaling.original_max_position_embeddings = original.value_or(numbers_.context_length);
    scaling.attention_factor = attention.value_or(1.0);
    // What a config that does not say it comes to, where the file has that, rounded to fp32.
    const double context = static_cast<double>(numbers_.context_length);
    const double first = static_cast<double>(scaling.original_max_position_embeddings);
    const double usual =
        context <= first ? 1.0 : std::sqrt(1.0 + std::log(context / first) / std::log(first));
    if (static_cast<float>(usual) == static_cast<float>(scaling.attention_factor))
      scaling.attention_factor = usual;
    return scaling;
  }

  absl::StatusOr<std::optional<RopeScaling>> read_scaling() const {
    FRUGAL_ASSIGN_OR_RETURN(const auto type, values_.text(key("rope.scaling.type")));
    FRUGAL_ASSIGN_OR_RETURN(auto factor, positive("rope.scaling.factor"));
    FRUGAL_ASSIGN_OR_RETURN(const auto former, positive("rope.scale_linear"));
    const std::string kind = type.value_or(former && *former != 1 ? "linear" : "none");
    if (kind == "none") return read_long_factors();
    if (kind == "longrope") return read_long_factors();
    if (kind != "linear" && kind != "yarn") {
      return base::unimplemented(values_.where(), ": '", key("rope.scaling.type"), "' is '",
                                 kind.substr(0, 40),
                                 "'; frugal reads 'none', 'linear', 'yarn' and 'longrope', and "
                                 "Llama 3's factors");
    }
    if (!factor) factor = former;
    if (!factor) return refused("the key '", key("rope.scaling.factor"), "' is missing");
    if (kind == "yarn") return read_yarn(*factor);
    return RopeScaling{.kind = RopeScaling::Kind::kLinear, .factor = *factor};
  }

  // One for each pair of channels that turns; empty: the file has no such tensor.
  absl::StatusOr<std::vector<float>> read_factor_tensor(std::string_view name) const {
    const format::GgufTensor* tensor = values_.file().find_tensor(name);
    if (tensor == nullptr) return std::vector<float>();
    const std::vector<int64_t> shape = {numbers_.rope.turned(numbers_.head_size) / 2};
    if (tensor->shape != shape || tensor->type.name != "F32") {
      return refused("the tensor '", name, "' is ", tensor->type.name, " ",
                     format::shape_text(tensor->shape), ", expected F32 ",
                     format::shape_text(shape), " for heads of ", numbers_.head_size);
    }
    std::vector<float> factors(static_cast<size_t>(shape[0]));
    std::memcpy(factors.data(), values_.file().bytes(*tensor).data(),
                factors.size() * sizeof(float));
    return factors;
  }

  absl::StatusOr<std::optional<RopeScaling>> read_factors(double theta) const {
    FRUGAL_ASSIGN_OR_RETURN(const std::vector<float> factors,
                            read_factor_tensor(kGgufRopeFrequencies));
    if (factors.empty()) return std::nullopt;
    auto scaling = scaling_of_factors(factors, theta);
    if (!scaling.ok()) {
      return base::annotate(scaling.status(),
                            str_cat(values_.where(), ": the tensor '", kGgufRopeFrequencies, "'"));
    }
    return *scaling;
  }

  absl::Status read_rope() {
    FRUGAL_ASSIGN_OR_RETURN(const auto theta, positive("rope.freq_base"));
    numbers_.rope.theta = theta.value_or(kDefaultTheta);
    FRUGAL_ASSIGN_OR_RETURN(numbers_.rope.scaling, read_scaling());
    FRUGAL_ASSIGN_OR_RETURN(const auto factors, read_factors(numbers_.rope.theta));
    if (factors && numbers_.rope.scaling) {
      return base::unimplemented(values_.where(), ": both '", key("rope.scaling.type"), "' and '",
                                 kGgufRopeFrequencies, "' scale rotary frequencies");
    }
    if (factors) numbers_.rope.scaling = factors;
    numbers_.windowed_rope = numbers_.rope;
    FRUGAL_ASSIGN_OR_RETURN(const auto factor, positive("rope.scaling.attn_factor"));
    const bool has_factor = numbers_.rope.scaling && numbers_.rope.scaling->attention_factor != 1;
    if (factor.value_or(1.0) == 1.0 || has_factor) return absl::OkStatus();
    return base::unimplemented(values_.where(), ": '", key("rope.scaling.attn_factor"), "' is ",
                               *factor, ", but the file scales by neither yarn nor longrope");
  }

  // Only Gemmas' graphs have windows in some layers, Gemma 3's a theta of their own.
  absl::Status read_windows() {
    FRUGAL_ASSIGN_OR_RETURN(const auto window, optional_number("attention.sliding_window"));
    if (window.value_or(0) == 0) return absl::OkStatus();
    const bool some_layers = architecture::gguf_window_period(numbers_.architecture) > 0;
    if (!some_layers && *window >= numbers_.context_length) return absl::OkStatus();
    numbers_.window = *window;
    if (!some_layers) return absl::OkStatus();
    FRUGAL_ASSIGN_OR_RETURN(const auto theta, positive("rope.freq_base_swa"));
    if (architecture::gguf_says_windows(numbers_.architecture)) {
      numbers_.windowed_rope = {.theta = theta.value_or(kGgufWindowedTheta), .scaling = {}};
    } else if (theta) {
      numbers_.windowed_rope.theta = *theta;
    }
    return read_pattern();
  }

  // One entry for each layer, or a period: the last layer of each sees everything.
  absl::Status read_pattern() {
    const std::string name = key("attention.sliding_window_pattern");
    const auto list = values_.integers(name);
    if (list.ok() && *list) {
      if (static_cast<int64_t>((*list)->size()) != numbers_.layer_count) {
        return refused("'", name, "' has ", (*list)->size(), " entries, but there are ",
                       numbers_.layer_count, " layers");
      }
      for (const int64_t entry : **list) numbers_.windowed.push_back(entry != 0);
      return absl::OkStatus();
    }
    FRUGAL_ASSIGN_OR_RETURN(const auto period, optional_number("attention.sliding_window_pattern"));
    const int64_t length = period.value_or(architecture::gguf_window_period(numbers_.architecture));
    for (int64_t layer = 0; layer < numbers_.layer_count; ++layer)
      numbers_.windowed.push_back(length > 0 && (layer + 1) % length != 0);
    return absl::OkStatus();
  }

  absl::Status read_token_ids() {
    const auto id = [&](std::string_view name) {
      return values_.integer(str_cat("tokenizer.ggml.", name, "_token_id"));
    };
    FRUGAL_ASSIGN_OR_RETURN(const auto bos, id("bos"));
    if (bos) numbers_.bos_token_ids.push_back(*bos);
    for (const char* name : {"eos", "eot", "eom"}) {
      FRUGAL_ASSIGN_OR_RETURN(const auto end, id(name));
      std::vector<int64_t>& ends = numbers_.eos_token_ids;
      if (end && std::find(ends.begin(), ends.end(), *end) == ends.end()) ends.push_back(*end);
    }
    FRUGAL_ASSIGN_OR_RETURN(numbers_.pad_token_id, id("padding"));
    return absl::OkStatus();
  }

  static constexpr double kDefaultTheta = 10000;  // llama.cpp's
  const GgufValues& values_;
  GgufNumbers numbers_;
};

}  // namespace

absl::StatusOr<architecture::ModelConfig> read_gguf_config(const GgufValues& values) {
  return Reader(values).read();
}

}  // namespace frugal::artifact
