#include "artifact/onnx/onnx_graph.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "architecture/tensors.h"
#include "artifact/onnx/rotary.h"
#include "base/text.h"

namespace frugal::artifact {

namespace {

using architecture::Role;
using base::str_cat;
using format::OnnxAttribute;
using format::OnnxDimension;
using format::OnnxType;
using format::OnnxValue;

constexpr const char* kContrib = "com.microsoft";

class GraphBuilder {
 public:
  GraphBuilder(const format::ModelInfo& model, const OnnxOptions& options)
      : info_(model), config_(model.config), options_(options) {
    for (const architecture::Tensor& tensor : architecture::tensors(config_))
      shapes_[tensor.name] = tensor.shape;
  }

  absl::StatusOr<OnnxGraph> build() {
    declare_interface();
    add_mask();
    add_rotary_tables();
    std::string residual = add_embedding();
    std::string normalized = "normalized.0.in";
    add_first_norm(residual, normalized);
    for (int64_t layer = 0; layer < config_.layer_count(); ++layer) {
      FRUGAL_RETURN_IF_ERROR(add_layer(layer, residual, normalized));
    }
    FRUGAL_RETURN_IF_ERROR(add_head(normalized));
    return std::move(graph_);
  }

 private:
  struct Tables {
    std::string cosine, sine;
  };

  // The epsilon of all norms: config.json has one.
  float epsilon() const { return static_cast<float>(config_.final_norm.epsilon); }

  std::string name_of(Role role, int64_t layer = architecture::kNoLayer) const {
    return architecture::tensor_name(config_, role, layer);
  }
  const architecture::Layer& at(int64_t layer) const {
    return config_.layers[static_cast<size_t>(layer)];
  }

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

  // The gain of a norm as the operators take it.
  std::string add_gain(Role role, int64_t layer) {
    const std::string weight = name_of(role, layer);
    add_weight(weight, OnnxContent::kGains);
    graph_.sources.back().offset = architecture::stored_offset(config_, role, layer);
    return weight;
  }

  template <typename T>
  void constant(const char* name, std::vector<int64_t> dims, const std::vector<T>& values) {
    graph_.model.initializers.push_back(
        format::onnx_constant(name, std::move(dims), std::span<const T>(values)));
  }

  std::string add_embedding() {
    const std::string weight = name_of(Role::kEmbedding);
    add_weight(weight, OnnxContent::kValues);
    node("Gather", "", {weight, "input_ids"}, {"embeddings"});
    if (config_.embedding_scale == 1.0) return "embeddings";
    constant<float>("embedding_scale", {}, {static_cast<float>(config_.embedding_scale)});
    node("Mul", "", {"embeddings", "embedding_scale"}, {"scaled_embeddings"});
    return "scaled_embeddings";
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
    for (int64_t layer = 0; layer < config_.layer_count(); ++layer) {
      for (const char* kind : {"key", "value"}) {
        model.inputs.push_back(
            {str_cat("past_key_values.", layer, ".", kind),
             OnnxType::kFloat,
             {batch, at(layer).attention.key_value_heads, past, at(layer).attention.head_size}});
        model.outputs.push_back(
            {str_cat("present.", layer, ".", kind),
             OnnxType::kFloat,
             {batch, at(layer).attention.key_value_heads, total, at(layer).attention.head_size}});
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

  // One pair of tables for each rotation; layers share them.
  void add_rotary_tables() {
    const bool stored = rotary_bytes(config_) <= kLargestRotaryBytes;
    if (!stored) add_positions();
    const std::vector<Rotation> known = rotations(config_);
    std::set<size_t> added;
    for (int64_t layer = 0; layer < config_.layer_count(); ++layer) {
      const auto found = std::find(known.begin(), known.end(), rotation_of(config_, layer));
      const auto index = static_cast<size_t>(found - known.begin());
      const std::string suffix = index == 0 ? "" : str_cat(".", index);
      tables_.push_back({"cosine_cache" + suffix, "sine_cache" + suffix});
      if (!added.insert(index).second) continue;
      if (stored) {
        store_tables(tables_.back(), layer);
      } else {
        compute_tables(tables_.back(), layer, suffix);
      }
    }
  }

  void store_tables(const Tables& tables, int64_t layer) {
    const std::vector<int64_t> dims = {config_.context_length, at(layer).attention.head_size / 2};
    for (const bool sine : {false, true}) {
      initializer(sine ? tables.sine : tables.cosine, OnnxType::kFloat, dims, "",
                  sine ? OnnxContent::kSine : OnnxContent::kCosine);
      graph_.sources.back().layer = layer;
    }
  }

  // Those up to the last token, as a column.
  void add_positions() {
    constant<int64_t>("zero", {}, {0});
    node("Range", "", {"zero", "mask_length", "one"}, {"positions"});
    node("Cast", "", {"positions"}, {"positions.float"},
         {{"to", static_cast<int64_t>(OnnxType::kFloat)}});
    node("Unsqueeze", "", {"positions.float", "axis_one"}, {"positions.column"});
  }

  // Position times frequency in fp32, as the stored tables have it.
  void compute_tables(const Tables& tables, int64_t layer, const std::string& suffix) {
    const std::string frequencies = "rotary_frequencies" + suffix,
                      angles = "rotary_angles" + suffix;
    initializer(frequencies, OnnxType::kFloat, {1, at(layer).attention.head_size / 2}, "",
                OnnxContent::kFrequencies);
    graph_.sources.back().layer = layer;
    node("Mul", "", {"positions.column", frequencies}, {angles});
    node("Cos", "", {angles}, {tables.cosine});
    node("Sin", "", {angles}, {tables.sine});
  }

  // multiply() and the bias behind it, where the model has one.
  absl::Status linear(const std::string& input, Role matrix, int64_t layer,
                      const std::string& output) {
    const std::string bias = name_of(architecture::bias_of(matrix), layer);
    if (!shapes_.contains(bias) || architecture::bias_of(matrix) == matrix)
      return multiply(input, name_of(matrix, layer), output);
    FRUGAL_RETURN_IF_ERROR(multiply(input, name_of(matrix, layer), output + ".product"));
    add_weight(bias, OnnxContent::kValues);
    node("Add", "", {output + ".product", bias}, {output});
    return absl::OkStatus();
  }

  // output = input · Wᵀ: MatMulNBits with the checkpoint's own integers, or MatMul for float
  // weights.
  absl::Status multiply(const std::string& input, const std::string& weight,
                        const std::string& output) {
    const int64_t rows = shapes_.at(weight)[0], columns = shapes_.at(weight)[1];
    const auto entry = info_.grids.find(weight);
    if (entry == info_.grids.end()) {
      initializer(weight, OnnxType::kFloat, {columns, rows}, weight, OnnxContent::kTransposed);
      node("MatMul", "", {input, weight}, {output});
      return absl::OkStatus();
    }
    if (info_.activations.contains(weight)) {
      multiply_integers(input, weight, output);
      return absl::OkStatus();
    }
    FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(entry->second, columns));
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

  // A norm without an addition before it. Spelled out in standard operators, because ONNX Runtime's
  // own operator for it lives in the standard domain and the ONNX checker refuses it there; the
  // runtime fuses this pattern into that operator.
  void add_norm(const std::string& input, const std::string& gain, const std::string& stem,
                const std::string& output) {
    node("Pow", "", {input, "two"}, {stem + ".squares"});
    node("ReduceMean", "", {stem + ".squares", "last_axis"}, {stem + ".mean"},
         {{"keepdims", int64_t{1}}});
    node("Add", "", {stem + ".mean", "epsilon"}, {stem + ".variance"});
    node("Sqrt", "", {stem + ".variance"}, {stem + ".deviation"});
    node("Div", "", {input, stem + ".deviation"}, {stem + ".scaled"});
    node("Mul", "", {stem + ".scaled", gain}, {output});
  }

  void add_first_norm(const std::string& input, const std::string& output) {
    const std::string gain = add_gain(Role::kNormBeforeAttention, 0);
    constant<float>("two", {}, {2.0f});
    constant<float>("epsilon", {}, {epsilon()});
    constant<int64_t>("last_axis", {1}, {-1});
    add_norm(input, gain, "first", output);
  }

  // Heads [B, T, heads * D] normed one by one.
  std::string norm_heads(const std::string& input, Role role, int64_t layer, int64_t heads) {
    const int64_t size = at(layer).attention.head_size;
    const std::string shape = str_cat("heads.", heads), gain = add_gain(role, layer);
    if (shapes_of_heads_.insert(shape).second) {
      constant<int64_t>(shape.c_str(), {4}, {0, 0, heads, size});
      constant<int64_t>((shape + ".flat").c_str(), {3}, {0, 0, heads * size});
    }
    node("Reshape", "", {input, shape}, {input + ".heads"});
    add_norm(input + ".heads", gain, input + ".norm", input + ".normed_heads");
    node("Reshape", "", {input + ".normed_heads", shape + ".flat"}, {input + ".normed"});
    return input + ".normed";
  }

  // The output of attention or feed-forward through the norm behind it, where there is one.
  std::string norm_behind(bool present, Role role, int64_t layer, const std::string& output) {
    if (!present) return output;
    add_norm(output, add_gain(role, layer), output + ".norm", output + ".normed");
    return output + ".normed";
  }

  // residual += addend; normalized = norm(residual). Renames both to the new values.
  void add_and_normalize(Role role, int64_t layer, const std::string& addend,
                         const std::string& stem, std::string& residual, std::string& normalized) {
    const std::string norm = add_gain(role, layer);
    node("SkipSimplifiedLayerNormalization", kContrib, {residual, addend, norm},
         {stem + ".normalized", "", "", stem + ".residual"}, {{"epsilon", epsilon()}});
    residual = stem + ".residual";
    normalized = stem + ".normalized";
  }

  absl::Status add_attention(int64_t layer, const std::string& normalized,
                             const std::string& stem) {
    const architecture::Attention& attention = at(layer).attention;
    FRUGAL_RETURN_IF_ERROR(linear(normalized, Role::kQuery, layer, stem + ".q"));
    FRUGAL_RETURN_IF_ERROR(linear(normalized, Role::kKey, layer, stem + ".k"));
    FRUGAL_RETURN_IF_ERROR(linear(normalized, Role::kValue, layer, stem + ".v"));
    std::string query = stem + ".q", key = stem + ".k";
    if (attention.head_norm) {
      query = norm_heads(query, Role::kQueryNorm, layer, attention.heads);
      key = norm_heads(key, Role::kKeyNorm, layer, attention.key_value_heads);
    }
    const std::string past = str_cat("past_key_values.", layer),
                      present = str_cat("present.", layer);
    const Tables& tables = tables_[static_cast<size_t>(layer)];
    node("GroupQueryAttention", kContrib,
         {query, key, stem + ".v", past + ".key", past + ".value", "sequence_lengths",
          "total_length", tables.cosine, tables.sine},
         {stem + ".attention", present + ".key", present + ".value"},
         {{"num_heads", attention.heads},
          {"kv_num_heads", attention.key_value_heads},
          {"scale", static_cast<float>(attention.score_scale)},
          {"do_rotary", int64_t{1}},
          {"rotary_interleaved", int64_t{0}},
          {"local_window_size", attention.window.value_or(-1)}});
    return linear(stem + ".attention", Role::kAttentionOutput, layer, stem + ".o");
  }

  std::string activate(const std::string& input, const std::string& stem,
                       architecture::Activation activation) {
    using architecture::Activation;
    switch (activation) {
      case Activation::kSilu:
        node("Sigmoid", "", {input}, {stem + ".sigmoid"});
        node("Mul", "", {input, stem + ".sigmoid"}, {stem + ".silu"});
        return stem + ".silu";
      case Activation::kRelu:
        node("Relu", "", {input}, {stem + ".relu"});
        return stem + ".relu";
      case Activation::kGelu:
      case Activation::kGeluTanh:
        break;
    }
    const bool tanh = activation == Activation::kGeluTanh;
    node("Gelu", "", {input}, {stem + ".gelu"},
         {{"approximate", std::string(tanh ? "tanh" : "none")}});
    return stem + ".gelu";
  }

  absl::Status add_feed_forward(int64_t layer, const std::string& normalized,
                                const std::string& stem) {
    FRUGAL_RETURN_IF_ERROR(linear(normalized, Role::kGate, layer, stem + ".gate"));
    FRUGAL_RETURN_IF_ERROR(linear(normalized, Role::kUp, layer, stem + ".up"));
    const std::string gate = activate(stem + ".gate", stem, at(layer).feed_forward.activation);
    node("Mul", "", {gate, stem + ".up"}, {stem + ".product"});
    return linear(stem + ".product", Role::kDown, layer, stem + ".down");
  }

  absl::Status add_layer(int64_t layer, std::string& residual, std::string& normalized) {
    const std::string stem = str_cat("layer.", layer);
    FRUGAL_RETURN_IF_ERROR(add_attention(layer, normalized, stem));
    const std::string mixed = norm_behind(at(layer).after_attention.has_value(),
                                          Role::kNormAfterAttention, layer, stem + ".o");
    add_and_normalize(Role::kNormBeforeFeedForward, layer, mixed, stem + ".middle", residual,
                      normalized);
    FRUGAL_RETURN_IF_ERROR(add_feed_forward(layer, normalized, stem));
    const std::string fed = norm_behind(at(layer).after_feed_forward.has_value(),
                                        Role::kNormAfterFeedForward, layer, stem + ".down");
    const bool last = layer + 1 == config_.layer_count();
    add_and_normalize(last ? Role::kFinalNorm : Role::kNormBeforeAttention, layer + 1, fed,
                      stem + ".end", residual, normalized);
    return absl::OkStatus();
  }

  // A tied head is the embedding turned round; ONNX Runtime folds the Transpose when it loads the
  // model.
  absl::Status add_head(const std::string& normalized) {
    if (!config_.tied_embeddings) return multiply(normalized, name_of(Role::kHead), "logits");
    node("Transpose", "", {name_of(Role::kEmbedding)}, {"head"},
         {{"perm", std::vector<int64_t>{1, 0}}});
    node("MatMul", "", {normalized, "head"}, {"logits"});
    return absl::OkStatus();
  }

  const format::ModelInfo& info_;
  const architecture::ModelConfig& config_;
  const OnnxOptions& options_;
  std::map<std::string, std::vector<int64_t>, std::less<>> shapes_;
  std::vector<Tables> tables_;             // of each layer
  std::set<std::string> shapes_of_heads_;  // constants that norm_heads has added
  std::set<std::string> rounded_;          // inputs that round_tokens has seen to
  OnnxGraph graph_;
};

}  // namespace

int64_t rotary_bytes(const architecture::ModelConfig& config) {
  constexpr int64_t kTables = 2;
  int64_t channels = 0;
  for (const Rotation& rotation : rotations(config)) channels += rotation.head_size / 2;
  return kTables * config.context_length * channels * static_cast<int64_t>(sizeof(float));
}

absl::StatusOr<OnnxGraph> build_onnx_graph(const format::ModelInfo& model,
                                           const OnnxOptions& options) {
  return GraphBuilder(model, options).build();
}

}  // namespace frugal::artifact
