// Tested by: tests/runtime/onnx_runtime.py
#include "artifact/onnx/onnx_graph.h"

#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "base/text.h"
#include "model/architecture.h"

namespace frugal::artifact {

namespace {

using base::str_cat;
using format::OnnxAttribute;
using format::OnnxDimension;
using format::OnnxType;
using format::OnnxValue;

constexpr const char* kContrib = "com.microsoft";

class GraphBuilder {
 public:
  GraphBuilder(const format::Checkpoint& checkpoint, const OnnxOptions& options)
      : checkpoint_(checkpoint), config_(checkpoint.config()), options_(options) {
    for (const format::ExpectedTensor& tensor : format::expected_tensors(config_))
      shapes_[tensor.name] = tensor.shape;
  }

  absl::StatusOr<OnnxGraph> build() {
    declare_interface();
    add_mask();
    add_rotary_tables();
    add_weight(std::string(model::kEmbedding), OnnxContent::kValues);
    node("Gather", "", {std::string(model::kEmbedding), "input_ids"}, {"embeddings"});
    std::string residual = "embeddings";
    std::string normalized = "normalized.0.in";
    add_first_norm(residual, normalized);
    for (int64_t layer = 0; layer < config_.layer_count; ++layer) {
      FRUGAL_RETURN_IF_ERROR(add_layer(layer, residual, normalized));
    }
    FRUGAL_RETURN_IF_ERROR(add_head(normalized));
    return std::move(graph_);
  }

 private:
  float epsilon() const { return static_cast<float>(config_.norm_epsilon); }

  void node(std::string op, std::string domain, std::vector<std::string> inputs,
            std::vector<std::string> outputs, std::vector<OnnxAttribute> attributes = {}) {
    graph_.model.nodes.push_back({std::move(op), std::move(domain), std::move(inputs),
                                  std::move(outputs), std::move(attributes), ""});
  }

  void initializer(std::string name, OnnxType type, std::vector<int64_t> dims, std::string weight,
                   OnnxContent content) {
    graph_.model.initializers.push_back({name, type, std::move(dims), std::nullopt});
    graph_.sources.push_back({std::move(name), std::move(weight), content});
  }

  void add_weight(const std::string& weight, OnnxContent content) {
    initializer(weight, OnnxType::kFloat, shapes_.at(weight), weight, content);
  }

  void declare_interface() {
    format::OnnxModel& model = graph_.model;
    model.opsets = {{"", 21}, {kContrib, 1}};
    const OnnxDimension batch = std::string("batch_size"),
                        sequence = std::string("sequence_length");
    const OnnxDimension total = std::string("total_sequence_length"),
                        past = std::string("past_sequence_length");
    model.inputs = {{"input_ids", OnnxType::kInt64, {batch, sequence}},
                    {"attention_mask", OnnxType::kInt64, {batch, total}}};
    model.outputs = {{"logits", OnnxType::kFloat, {batch, sequence, config_.vocabulary_size}}};
    for (int64_t layer = 0; layer < config_.layer_count; ++layer) {
      for (const char* kind : {"key", "value"}) {
        model.inputs.push_back({str_cat("past_key_values.", layer, ".", kind),
                                OnnxType::kFloat,
                                {batch, config_.key_value_head_count, past, config_.head_size}});
        model.outputs.push_back({str_cat("present.", layer, ".", kind),
                                 OnnxType::kFloat,
                                 {batch, config_.key_value_head_count, total, config_.head_size}});
      }
    }
  }

  // GroupQueryAttention wants lengths instead of a mask: per row the tokens seen less one, and the
  // longest total.
  void add_mask() {
    const auto constant = [&](const char* name, std::vector<int64_t> dims, int64_t value) {
      graph_.model.initializers.push_back(
          format::onnx_constant(name, std::move(dims), std::span<const int64_t>(&value, 1)));
    };
    constant("axis_one", {1}, 1);
    constant("one", {}, 1);
    node("ReduceSum", "", {"attention_mask", "axis_one"}, {"tokens_seen"},
         {{"keepdims", int64_t{0}}});
    node("Sub", "", {"tokens_seen", "one"}, {"tokens_seen_less_one"});
    node("Cast", "", {"tokens_seen_less_one"}, {"sequence_lengths"},
         {{"to", static_cast<int64_t>(OnnxType::kInt32)}});
    node("Shape", "", {"attention_mask"}, {"mask_shape"});
    node("Gather", "", {"mask_shape", "one"}, {"mask_length"}, {{"axis", int64_t{0}}});
    node("Cast", "", {"mask_length"}, {"total_length"},
         {{"to", static_cast<int64_t>(OnnxType::kInt32)}});
  }

  void add_rotary_tables() {
    const std::vector<int64_t> dims = {config_.context_length, config_.head_size / 2};
    initializer("cosine_cache", OnnxType::kFloat, dims, "", OnnxContent::kCosine);
    initializer("sine_cache", OnnxType::kFloat, dims, "", OnnxContent::kSine);
  }

  // output = input · Wᵀ: MatMulNBits with the checkpoint's own integers, or MatMul for float
  // weights.
  absl::Status multiply(const std::string& input, const std::string& weight,
                        const std::string& output) {
    const int64_t rows = shapes_.at(weight)[0], columns = shapes_.at(weight)[1];
    const auto entry = checkpoint_.quantized().find(weight);
    if (entry == checkpoint_.quantized().end()) {
      initializer(weight, OnnxType::kFloat, {columns, rows}, weight, OnnxContent::kTransposed);
      node("MatMul", "", {input, weight}, {output});
      return absl::OkStatus();
    }
    if (entry->second.activations != format::Activations::kFloat) {
      multiply_integers(input, weight, output);
      return absl::OkStatus();
    }
    FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(entry->second.grid, columns));
    absl::StatusOr<NBitsLayout> layout = nbits_layout(grid->spec());
    if (!layout.ok())
      return base::annotate(layout.status(), str_cat("cannot write ", weight, " to ONNX"));
    const int64_t blocks = columns / layout->block_size;
    std::vector<std::string> inputs = {input, weight + ".q", weight + ".scales"};
    initializer(weight + ".q", OnnxType::kUint8,
                {rows, blocks, layout->block_size * layout->bits / 8}, weight,
                OnnxContent::kNBitsValues);
    initializer(weight + ".scales", OnnxType::kFloat, {rows, blocks}, weight,
                OnnxContent::kNBitsScales);
    if (layout->zero_points) {
      initializer(weight + ".zero_points", OnnxType::kUint8,
                  {rows, (blocks * layout->bits + 7) / 8}, weight, OnnxContent::kNBitsZeroPoints);
      inputs.push_back(weight + ".zero_points");
    }
    node("MatMulNBits", kContrib, std::move(inputs), {output},
         {{"K", columns},
          {"N", rows},
          {"bits", layout->bits},
          {"block_size", layout->block_size},
          {"accuracy_level", options_.accuracy_level}});
    return absl::OkStatus();
  }

  // output = float(sum of integers) * token scale * row scale: the order of model/integer_linear.h.
  // Weights and inputs have zero points of 0, the operator's default.
  void multiply_integers(const std::string& input, const std::string& weight,
                         const std::string& output) {
    const int64_t rows = shapes_.at(weight)[0], columns = shapes_.at(weight)[1];
    round_tokens(input);
    initializer(weight + ".int8", OnnxType::kInt8, {columns, rows}, weight,
                OnnxContent::kInt8Values);
    initializer(weight + ".scales", OnnxType::kFloat, {rows}, weight, OnnxContent::kInt8Scales);
    node("MatMulInteger", "", {input + ".int8", weight + ".int8"}, {output + ".sum"});
    node("Cast", "", {output + ".sum"}, {output + ".float"},
         {{"to", static_cast<int64_t>(OnnxType::kFloat)}});
    node("Mul", "", {output + ".float", input + ".scale"}, {output + ".by_token"});
    node("Mul", "", {output + ".by_token", weight + ".scales"}, {output});
  }

  // input.scale = max(max|x| / 127, 2^-126) per token, input.int8 = round(x / scale), once for all
  // matrices that share the input.
  void round_tokens(const std::string& input) {
    if (!rounded_.insert(input).second) return;
    if (rounded_.size() == 1) {
      const float largest = 127, least = std::numeric_limits<float>::min();
      format::OnnxModel& model = graph_.model;
      model.initializers.push_back(
          format::onnx_constant("largest_code", {}, std::span<const float>(&largest, 1)));
      model.initializers.push_back(
          format::onnx_constant("least_scale", {}, std::span<const float>(&least, 1)));
    }
    node("Abs", "", {input}, {input + ".absolute"});
    node("ReduceMax", "", {input + ".absolute", "last_axis"}, {input + ".largest"},
         {{"keepdims", int64_t{1}}});
    node("Div", "", {input + ".largest", "largest_code"}, {input + ".step"});
    node("Max", "", {input + ".step", "least_scale"}, {input + ".scale"});
    node("Div", "", {input, input + ".scale"}, {input + ".quotient"});
    node("Round", "", {input + ".quotient"},
         {input + ".rounded"});  // halves to even; never beyond +-127
    node("Cast", "", {input + ".rounded"}, {input + ".int8"},
         {{"to", static_cast<int64_t>(OnnxType::kInt8)}});
  }

  // The one norm without an addition before it. Spelled out in standard operators, because ONNX
  // Runtime's own operator for it lives in the standard domain and the ONNX checker refuses it
  // there; the runtime fuses this pattern into that operator.
  void add_first_norm(const std::string& input, const std::string& output) {
    const std::string weight = model::weight_name(0, "input_layernorm");
    add_weight(weight, OnnxContent::kValues);
    const float epsilon_value = epsilon(), two = 2.0f;
    const int64_t last_axis = -1;
    format::OnnxModel& model = graph_.model;
    model.initializers.push_back(format::onnx_constant("two", {}, std::span<const float>(&two, 1)));
    model.initializers.push_back(
        format::onnx_constant("epsilon", {}, std::span<const float>(&epsilon_value, 1)));
    model.initializers.push_back(
        format::onnx_constant("last_axis", {1}, std::span<const int64_t>(&last_axis, 1)));
    node("Pow", "", {input, "two"}, {"first.squares"});
    node("ReduceMean", "", {"first.squares", "last_axis"}, {"first.mean"},
         {{"keepdims", int64_t{1}}});
    node("Add", "", {"first.mean", "epsilon"}, {"first.variance"});
    node("Sqrt", "", {"first.variance"}, {"first.deviation"});
    node("Div", "", {input, "first.deviation"}, {"first.scaled"});
    node("Mul", "", {"first.scaled", weight}, {output});
  }

  // residual += addend; normalized = norm(residual). Renames both to the new values.
  void add_and_normalize(const std::string& norm, const std::string& addend,
                         const std::string& stem, std::string& residual, std::string& normalized) {
    add_weight(norm, OnnxContent::kValues);
    node("SkipSimplifiedLayerNormalization", kContrib, {residual, addend, norm},
         {stem + ".normalized", "", "", stem + ".residual"}, {{"epsilon", epsilon()}});
    residual = stem + ".residual";
    normalized = stem + ".normalized";
  }

  absl::Status add_attention(int64_t layer, const std::string& normalized,
                             const std::string& stem) {
    for (const char* name : {"q", "k", "v"}) {
      FRUGAL_RETURN_IF_ERROR(
          multiply(normalized, model::weight_name(layer, str_cat("self_attn.", name, "_proj")),
                   str_cat(stem, ".", name)));
    }
    const std::string past = str_cat("past_key_values.", layer),
                      present = str_cat("present.", layer);
    node("GroupQueryAttention", kContrib,
         {stem + ".q", stem + ".k", stem + ".v", past + ".key", past + ".value", "sequence_lengths",
          "total_length", "cosine_cache", "sine_cache"},
         {stem + ".attention", present + ".key", present + ".value"},
         {{"num_heads", config_.head_count},
          {"kv_num_heads", config_.key_value_head_count},
          {"scale", static_cast<float>(1.0 / std::sqrt(static_cast<double>(config_.head_size)))},
          {"do_rotary", int64_t{1}},
          {"rotary_interleaved", int64_t{0}},
          {"local_window_size", int64_t{-1}}});
    return multiply(stem + ".attention", model::weight_name(layer, "self_attn.o_proj"),
                    stem + ".o");
  }

  absl::Status add_feed_forward(int64_t layer, const std::string& normalized,
                                const std::string& stem) {
    FRUGAL_RETURN_IF_ERROR(
        multiply(normalized, model::weight_name(layer, "mlp.gate_proj"), stem + ".gate"));
    FRUGAL_RETURN_IF_ERROR(
        multiply(normalized, model::weight_name(layer, "mlp.up_proj"), stem + ".up"));
    node("Sigmoid", "", {stem + ".gate"}, {stem + ".sigmoid"});
    node("Mul", "", {stem + ".gate", stem + ".sigmoid"}, {stem + ".silu"});
    node("Mul", "", {stem + ".silu", stem + ".up"}, {stem + ".product"});
    return multiply(stem + ".product", model::weight_name(layer, "mlp.down_proj"), stem + ".down");
  }

  absl::Status add_layer(int64_t layer, std::string& residual, std::string& normalized) {
    const std::string stem = str_cat("layer.", layer);
    FRUGAL_RETURN_IF_ERROR(add_attention(layer, normalized, stem));
    add_and_normalize(model::weight_name(layer, "post_attention_layernorm"), stem + ".o",
                      stem + ".middle", residual, normalized);
    FRUGAL_RETURN_IF_ERROR(add_feed_forward(layer, normalized, stem));
    const bool last = layer + 1 == config_.layer_count;
    const std::string norm =
        last ? std::string(model::kFinalNorm) : model::weight_name(layer + 1, "input_layernorm");
    add_and_normalize(norm, stem + ".down", stem + ".end", residual, normalized);
    return absl::OkStatus();
  }

  // A tied head is the embedding turned round; ONNX Runtime folds the Transpose when it loads the
  // model.
  absl::Status add_head(const std::string& normalized) {
    if (!config_.tied_embeddings) return multiply(normalized, std::string(model::kHead), "logits");
    node("Transpose", "", {std::string(model::kEmbedding)}, {"head"},
         {{"perm", std::vector<int64_t>{1, 0}}});
    node("MatMul", "", {normalized, "head"}, {"logits"});
    return absl::OkStatus();
  }

  const format::Checkpoint& checkpoint_;
  const format::ModelConfig& config_;
  const OnnxOptions& options_;
  std::map<std::string, std::vector<int64_t>, std::less<>> shapes_;
  std::set<std::string> rounded_;  // inputs that round_tokens has seen to
  OnnxGraph graph_;
};

}  // namespace

absl::StatusOr<OnnxGraph> build_onnx_graph(const format::Checkpoint& checkpoint,
                                           const OnnxOptions& options) {
  return GraphBuilder(checkpoint, options).build();
}

}  // namespace frugal::artifact
