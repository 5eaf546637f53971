#include "artifact/gguf/gguf_config_reader.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

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
constexpr std::array<std::string_view, 22> kRead = {"block_count",
                                                    "context_length",
                                                    "embedding_length",
                                                    "feed_forward_length",
                                                    "attention.head_count",
                                                    "attention.head_count_kv",
                                                    "attention.key_length",
                                                    "attention.value_length",
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
                                                    "expert_used_count"};
// Those that say nothing about what is computed.
constexpr std::array<std::string_view, 2> kSilent = {"tensor_data_layout", "use_parallel_residual"};
// Those that do not where they are zero.
constexpr std::array<std::string_view, 6> kOffAtZero = {
    "attn_logit_softcapping",   "final_logit_softcapping", "attention.clamp_kqv",
    "attention.max_alibi_bias", "expert_shared_count",     "leading_dense_block_count"};

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
    FRUGAL_RETURN_IF_ERROR(check_experts());
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
    FRUGAL_ASSIGN_OR_RETURN(numbers_.feed_forward_width, number("feed_forward_length"));
    FRUGAL_ASSIGN_OR_RETURN(const auto epsilon, positive("attention.layer_norm_rms_epsilon"));
    if (!epsilon)
      return refused("the key '", key("attention.layer_norm_rms_epsilon"), "' is missing");
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
    return base::unimplemented(values_.where(), ": '", key("rope.dimension_count"), "' is ",
                               *turned, " of a head of ", numbers_.head_size,
                               "; frugal supports only whole heads");
  }

  absl::Status check_experts() const {
    FRUGAL_ASSIGN_OR_RETURN(const auto experts, optional_number("expert_count"));
    if (experts.value_or(0) == 0) return absl::OkStatus();
    return base::unimplemented(values_.where(), ": '", key("expert_count"), "' is ", *experts,
                               "; frugal reads models without experts");
  }

  absl::StatusOr<std::optional<RopeScaling>> read_scaling() const {
    FRUGAL_ASSIGN_OR_RETURN(const auto type, values_.text(key("rope.scaling.type")));
    FRUGAL_ASSIGN_OR_RETURN(auto factor, positive("rope.scaling.factor"));
    FRUGAL_ASSIGN_OR_RETURN(const auto former, positive("rope.scale_linear"));
    const std::string kind = type.value_or(former && *former != 1 ? "linear" : "none");
    if (kind == "none") return std::nullopt;
    if (kind != "linear") {
      return base::unimplemented(values_.where(), ": '", key("rope.scaling.type"), "' is '",
                                 kind.substr(0, 40),
                                 "'; frugal reads 'none' and 'linear', and "
                                 "Llama 3's factors");
    }
    if (!factor) factor = former;
    if (!factor) return refused("the key '", key("rope.scaling.factor"), "' is missing");
    return RopeScaling{.kind = RopeScaling::Kind::kLinear, .factor = *factor};
  }

  absl::StatusOr<std::optional<RopeScaling>> read_factors(double theta) const {
    const format::GgufTensor* tensor = values_.file().find_tensor(kGgufRopeFrequencies);
    if (tensor == nullptr) return std::nullopt;
    const std::vector<int64_t> shape = {numbers_.head_size / 2};
    if (tensor->shape != shape || tensor->type.name != "F32") {
      return refused("the tensor '", kGgufRopeFrequencies, "' is ", tensor->type.name, " ",
                     format::shape_text(tensor->shape), ", expected F32 ",
                     format::shape_text(shape), " for heads of ", numbers_.head_size);
    }
    std::vector<float> factors(static_cast<size_t>(shape[0]));
    std::memcpy(factors.data(), values_.file().bytes(*tensor).data(),
                factors.size() * sizeof(float));
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
    return absl::OkStatus();
  }

  // Only Gemma's graph has windows in some layers and a theta of their own.
  absl::Status read_windows() {
    FRUGAL_ASSIGN_OR_RETURN(const auto window, optional_number("attention.sliding_window"));
    if (window.value_or(0) == 0) return absl::OkStatus();
    const bool some_layers = architecture::gguf_window_period(numbers_.architecture) > 0;
    if (!some_layers && *window >= numbers_.context_length) return absl::OkStatus();
    numbers_.window = *window;
    if (!some_layers) return absl::OkStatus();
    FRUGAL_ASSIGN_OR_RETURN(const auto theta, positive("rope.freq_base_swa"));
    numbers_.windowed_rope = {.theta = theta.value_or(kGgufWindowedTheta), .scaling = {}};
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
