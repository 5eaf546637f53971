#include "artifact/onnx/onnx_graph.h"

#include <optional>
#include <set>
#include <utility>

#include "architecture/tensors.h"
#include "artifact/onnx/graph_attention.h"
#include "artifact/onnx/graph_nodes.h"
#include "artifact/onnx/graph_products.h"
#include "artifact/onnx/graph_rotary.h"
#include "artifact/onnx/rotary.h"
#include "base/text.h"

namespace frugal::artifact {

namespace {

using architecture::Role;
using base::str_cat;
using format::OnnxDimension;
using format::OnnxType;
using format::OnnxValue;

class GraphBuilder {
 public:
  GraphBuilder(const format::ModelInfo& model, const OnnxOptions& options)
      : name_(model.name),
        config_(model.config),
        to_(model),
        products_(to_, options),
        rotary_(to_),
        attention_(to_, rotary_, options),
        standard_(options.standard_operators) {}

  absl::StatusOr<OnnxGraph> build() {
    if (!standard_) FRUGAL_RETURN_IF_ERROR(check_rotations());
    declare_interface();
    attention_.add_mask();
    rotary_.add();
    FRUGAL_ASSIGN_OR_RETURN(std::string residual, add_embedding());
    std::string normalized = add_first_norm(residual);
    for (int64_t layer = 0; layer < config_.layer_count(); ++layer) {
      FRUGAL_RETURN_IF_ERROR(add_layer(layer, residual, normalized));
    }
    FRUGAL_RETURN_IF_ERROR(add_head(normalized));
    return std::move(to_.graph);
  }

 private:
  // What ONNX Runtime's attention asks of heads that turn in part.
  absl::Status check_rotations() const {
    constexpr int64_t kPairs = 8;
    for (const Rotation& rotation : rotations(config_)) {
      const bool partial = rotation.pairs() > 0 && 2 * rotation.pairs() < rotation.head_size;
      if (!partial || rotation.pairs() % kPairs == 0) continue;
      return base::unimplemented("cannot write ", name_, " to ONNX: ", 2 * rotation.pairs(), " of ",
                                 rotation.head_size,
                                 " channels of a head turn, and ONNX "
                                 "Runtime's GroupQueryAttention turns multiples of ",
                                 2 * kPairs, "; operators: standard takes any share");
    }
    return absl::OkStatus();
  }

  // The epsilon of all norms: config.json has one.
  float epsilon() const { return static_cast<float>(config_.final_norm.epsilon); }

  absl::StatusOr<std::string> add_embedding() {
    FRUGAL_RETURN_IF_ERROR(products_.gather(
        "input_ids", to_.name_of(Role::kEmbedding, architecture::kNoLayer), "embeddings"));
    std::string embeddings = "embeddings";
    if (config_.embedding_scale != 1.0) {
      to_.constant<float>("embedding_scale", {}, {static_cast<float>(config_.embedding_scale)});
      to_.node("Mul", "", {"embeddings", "embedding_scale"}, {"scaled_embeddings"});
      embeddings = "scaled_embeddings";
    }
    if (!config_.learned_positions) return embeddings;
    const std::string places = attention_.places();
    const std::string positions = to_.name_of(Role::kPositions, architecture::kNoLayer);
    to_.weight(positions, OnnxContent::kValues);
    to_.node("Gather", "", {positions, places}, {"position_embeddings"});
    to_.node("Add", "", {embeddings, "position_embeddings"}, {"placed_embeddings"});
    return "placed_embeddings";
  }

  void declare_interface() {
    format::OnnxModel& model = to_.graph.model;
    if (standard_) {
      model.ir_version = 11;  // of the release that brought opset 23
      model.opsets = {{"", 23}};
    } else {
      model.opsets = {{"", 21}, {kContribDomain, 1}};
    }
    const OnnxDimension batch = std::string("batch_size"),
                        sequence = std::string("sequence_length");
    const OnnxDimension total = std::string("total_sequence_length"),
                        past = std::string("past_sequence_length");
    model.inputs = {{"input_ids", OnnxType::kInt64, {batch, sequence}},
                    {"attention_mask", OnnxType::kInt64, {batch, total}}};
    model.outputs = {{"logits", OnnxType::kFloat, {batch, sequence, config_.vocabulary_size}}};
    for (int64_t layer = 0; layer < config_.layer_count(); ++layer) {
      for (const char* kind : {"key", "value"}) {
        model.inputs.push_back({str_cat("past_key_values.", layer, ".", kind),
                                OnnxType::kFloat,
                                {batch, to_.layer(layer).attention.key_value_heads, past,
                                 to_.layer(layer).attention.head_size}});
        model.outputs.push_back({str_cat("present.", layer, ".", kind),
                                 OnnxType::kFloat,
                                 {batch, to_.layer(layer).attention.key_value_heads, total,
                                  to_.layer(layer).attention.head_size}});
      }
    }
  }

  // A norm that takes the mean away.
  void add_layer_norm(const std::string& input, Role role, int64_t layer,
                      const std::string& output) {
    const std::string gain = to_.gain(role, layer);
    const std::string bias = to_.name_of(architecture::bias_of(role), layer);
    to_.weight(bias, OnnxContent::kValues);
    to_.node("LayerNormalization", "", {input, gain, bias}, {output},
             {{"axis", int64_t{-1}}, {"epsilon", epsilon()}});
  }

  // A norm without an addition before it. Spelled out in standard operators, because ONNX Runtime's
  // own operator for it lives in the standard domain and the ONNX checker refuses it there; the
  // runtime fuses this pattern into that operator.
  void add_norm(const std::string& input, const std::string& gain, const std::string& stem,
                const std::string& output) {
    if (standard_) return add_rms_norm(input, gain, output);
    to_.node("Pow", "", {input, "two"}, {stem + ".squares"});
    to_.node("ReduceMean", "", {stem + ".squares", "last_axis"}, {stem + ".mean"},
             {{"keepdims", int64_t{1}}});
    to_.node("Add", "", {stem + ".mean", "epsilon"}, {stem + ".variance"});
    to_.node("Sqrt", "", {stem + ".variance"}, {stem + ".deviation"});
    to_.node("Div", "", {input, stem + ".deviation"}, {stem + ".scaled"});
    to_.node("Mul", "", {stem + ".scaled", gain}, {output});
  }

  void add_rms_norm(const std::string& input, const std::string& gain, const std::string& output) {
    to_.node("RMSNormalization", "", {input, gain}, {output},
             {{"axis", int64_t{-1}}, {"epsilon", epsilon()}});
  }

  // What the first layer reads; and the constants of all norms.
  std::string add_first_norm(const std::string& input) {
    const bool present = to_.layer(0).before_attention.has_value();
    const bool centered = present && to_.layer(0).before_attention->centered;
    const std::string output = "normalized.0.in";
    if (centered) {
      to_.constant<int64_t>("last_axis", {1}, {-1});
      add_layer_norm(input, Role::kNormBeforeAttention, 0, output);
      return output;
    }
    const std::string gain = present ? to_.gain(Role::kNormBeforeAttention, 0) : "";
    if (!standard_) {
      to_.constant<float>("two", {}, {2.0f});
      to_.constant<float>("epsilon", {}, {epsilon()});
    }
    to_.constant<int64_t>("last_axis", {1}, {-1});
    if (!present) return input;
    add_norm(input, gain, "first", output);
    return output;
  }

  // Heads [B, T, heads * D] normed one by one, or all at once.
  std::string norm_heads(const std::string& input, Role role, int64_t layer, int64_t heads) {
    if (to_.layer(layer).attention.norm_spans_heads) return norm_behind(true, role, layer, input);
    const int64_t size = to_.layer(layer).attention.head_size;
    const std::string shape = str_cat("heads.", heads), gain = to_.gain(role, layer);
    if (shapes_of_heads_.insert(shape).second) {
      to_.constant<int64_t>(shape, {4}, {0, 0, heads, size});
      to_.constant<int64_t>(shape + ".flat", {3}, {0, 0, heads * size});
    }
    to_.node("Reshape", "", {input, shape}, {input + ".heads"});
    add_norm(input + ".heads", gain, input + ".norm", input + ".normed_heads");
    to_.node("Reshape", "", {input + ".normed_heads", shape + ".flat"}, {input + ".normed"});
    return input + ".normed";
  }

  // The output of attention or feed-forward through the norm behind it, where there is one.
  std::string norm_behind(bool present, Role role, int64_t layer, const std::string& output) {
    if (!present) return output;
    add_norm(output, to_.gain(role, layer), output + ".norm", output + ".normed");
    return output + ".normed";
  }

  std::string multiplied(const std::string& input, double by) {
    if (by == 1.0) return input;
    to_.constant<float>(input + ".multiplier", {}, {static_cast<float>(by)});
    to_.node("Mul", "", {input, input + ".multiplier"}, {input + ".multiplied"});
    return input + ".multiplied";
  }

  // residual += addend; normalized = norm(residual), where there is one. Renames both to the new
  // values.
  void add_and_normalize(const std::optional<architecture::Norm>& maybe, Role role, int64_t layer,
                         const std::string& addend, const std::string& stem, std::string& residual,
                         std::string& normalized) {
    const std::string sum = stem + ".residual";
    if (!maybe || maybe->centered || standard_) {
      to_.node("Add", "", {residual, addend}, {sum});
      residual = normalized = sum;
      if (!maybe) return;
      normalized = stem + ".normalized";
      maybe->centered ? add_layer_norm(sum, role, layer, normalized)
                      : add_rms_norm(sum, to_.gain(role, layer), normalized);
      return;
    }
    const std::string norm = to_.gain(role, layer);
    to_.node("SkipSimplifiedLayerNormalization", kContribDomain, {residual, addend, norm},
             {stem + ".normalized", "", "", sum}, {{"epsilon", epsilon()}});
    residual = sum;
    normalized = stem + ".normalized";
  }

  absl::Status add_attention(int64_t layer, const std::string& normalized,
                             const std::string& stem) {
    const architecture::Attention& attention = to_.layer(layer).attention;
    FRUGAL_RETURN_IF_ERROR(products_.linear(normalized, Role::kQuery, layer, stem + ".q"));
    FRUGAL_RETURN_IF_ERROR(products_.linear(normalized, Role::kKey, layer, stem + ".k"));
    FRUGAL_RETURN_IF_ERROR(products_.linear(normalized, Role::kValue, layer, stem + ".v"));
    std::string query = stem + ".q", key = stem + ".k";
    if (attention.query_key_norm) {
      query = norm_heads(query, Role::kQueryNorm, layer, attention.heads);
      key = norm_heads(key, Role::kKeyNorm, layer, attention.key_value_heads);
    }
    attention_.add(layer, {query, key, stem + ".v"}, stem + ".attention");
    return products_.linear(stem + ".attention", Role::kAttentionOutput, layer, stem + ".o");
  }

  std::string activate(const std::string& input, const std::string& stem,
                       architecture::Activation activation) {
    using architecture::Activation;
    switch (activation) {
      case Activation::kSilu:
        to_.node("Sigmoid", "", {input}, {stem + ".sigmoid"});
        to_.node("Mul", "", {input, stem + ".sigmoid"}, {stem + ".silu"});
        return stem + ".silu";
      case Activation::kRelu:
        to_.node("Relu", "", {input}, {stem + ".relu"});
        return stem + ".relu";
      case Activation::kGelu:
      case Activation::kGeluTanh:
        break;
    }
    const bool tanh = activation == Activation::kGeluTanh;
    to_.node("Gelu", "", {input}, {stem + ".gelu"},
             {{"approximate", std::string(tanh ? "tanh" : "none")}});
    return stem + ".gelu";
  }

  absl::Status add_feed_forward(int64_t layer, const std::string& normalized,
                                const std::string& stem) {
    if (to_.layer(layer).experts) return add_experts(layer, normalized, stem);
    const architecture::FeedForward& feed_forward = to_.layer(layer).feed_forward;
    if (!feed_forward.gated) {
      FRUGAL_RETURN_IF_ERROR(products_.linear(normalized, Role::kUp, layer, stem + ".up"));
      const std::string neurons = activate(stem + ".up", stem, feed_forward.activation);
      return products_.linear(neurons, Role::kDown, layer, stem + ".down");
    }
    FRUGAL_RETURN_IF_ERROR(products_.linear(normalized, Role::kGate, layer, stem + ".gate"));
    FRUGAL_RETURN_IF_ERROR(products_.linear(normalized, Role::kUp, layer, stem + ".up"));
    const std::string gate = activate(stem + ".gate", stem, feed_forward.activation);
    to_.node("Mul", "", {gate, stem + ".up"}, {stem + ".product"});
    return products_.linear(stem + ".product", Role::kDown, layer, stem + ".down");
  }

  // The router's choices and their weights, [N, k] each, of rows [N, C].
  void add_router(int64_t layer, const std::string& rows, const std::string& stem) {
    const architecture::Experts& experts = *to_.layer(layer).experts;
    const std::string router = to_.name_of(Role::kRouter, layer);
    to_.initializer(router, OnnxType::kFloat, {config_.hidden_size, experts.count}, router,
                    OnnxContent::kTransposed);
    to_.node("MatMul", "", {rows, router}, {stem + ".router"});
    to_.node("Softmax", "", {stem + ".router"}, {stem + ".probabilities"}, {{"axis", int64_t{-1}}});
    to_.constant<int64_t>(stem + ".experts_per_token", {1}, {experts.per_token});
    const std::string weights = experts.normalized ? stem + ".largest" : stem + ".weights";
    to_.node("TopK", "", {stem + ".probabilities", stem + ".experts_per_token"},
             {weights, stem + ".chosen"},
             {{"axis", int64_t{-1}}, {"largest", int64_t{1}}, {"sorted", int64_t{1}}});
    if (!experts.normalized) return;
    to_.node("ReduceSum", "", {weights, "last_axis"}, {stem + ".total"},
             {{"keepdims", int64_t{1}}});
    to_.node("Div", "", {weights, stem + ".total"}, {stem + ".weights"});
  }

  // Each expert multiplies the rows that chose it; what it makes of them is added to theirs, by its
  // weight. Standard operators: they run wherever ONNX does, and cost no more than the rows do.
  absl::Status add_experts(int64_t layer, const std::string& normalized, const std::string& stem) {
    if (rows_shape_.empty()) {
      rows_shape_ = "rows";
      to_.constant<int64_t>(rows_shape_, {2}, {-1, config_.hidden_size});
      to_.constant<float>("zero.float", {}, {0.0F});
    }
    const std::string rows = stem + ".rows";
    to_.node("Reshape", "", {normalized, rows_shape_}, {rows});
    add_router(layer, rows, stem);
    to_.node("Mul", "", {rows, "zero.float"}, {stem + ".sum.start"});
    std::string sum = stem + ".sum.start";
    for (int64_t e = 0; e < to_.layer(layer).experts->count; ++e)
      FRUGAL_RETURN_IF_ERROR(add_expert(layer, e, rows, stem, sum));
    to_.node("Shape", "", {normalized}, {stem + ".shape"});
    to_.node("Reshape", "", {sum, stem + ".shape"}, {stem + ".down"});
    return absl::OkStatus();
  }

  absl::Status add_expert(int64_t layer, int64_t e, const std::string& rows,
                          const std::string& stem, std::string& sum) {
    const std::string own = str_cat(stem, ".expert.", e);
    to_.constant<int64_t>(own + ".number", {}, {e});
    to_.node("Equal", "", {stem + ".chosen", own + ".number"}, {own + ".is_chosen"});
    to_.node("Where", "", {own + ".is_chosen", stem + ".weights", "zero.float"}, {own + ".shares"});
    to_.node("ReduceSum", "", {own + ".shares", "last_axis"}, {own + ".weight"},
             {{"keepdims", int64_t{1}}});  // [N, 1]
    to_.node("Cast", "", {own + ".is_chosen"}, {own + ".count.parts"},
             {{"to", static_cast<int64_t>(OnnxType::kInt64)}});
    to_.node("ReduceSum", "", {own + ".count.parts", "last_axis"}, {own + ".count"},
             {{"keepdims", int64_t{0}}});                           // [N]
    to_.node("NonZero", "", {own + ".count"}, {own + ".numbers"});  // [1, n]
    to_.node("Transpose", "", {own + ".numbers"}, {own + ".places"},
             {{"perm", std::vector<int64_t>{1, 0}}});  // [n, 1]
    to_.node("GatherND", "", {rows, own + ".places"}, {own + ".in"});
    to_.node("GatherND", "", {own + ".weight", own + ".places"}, {own + ".weights"});
    const auto matrix = [&](Role role) {
      return architecture::tensor_name(config_, role, layer, e);
    };
    FRUGAL_RETURN_IF_ERROR(products_.multiply(own + ".in", matrix(Role::kGate), own + ".gate"));
    FRUGAL_RETURN_IF_ERROR(products_.multiply(own + ".in", matrix(Role::kUp), own + ".up"));
    const std::string gate = activate(own + ".gate", own, to_.layer(layer).feed_forward.activation);
    to_.node("Mul", "", {gate, own + ".up"}, {own + ".product"});
    FRUGAL_RETURN_IF_ERROR(
        products_.multiply(own + ".product", matrix(Role::kDown), own + ".down"));
    to_.node("Mul", "", {own + ".down", own + ".weights"}, {own + ".weighted"});
    to_.node("ScatterND", "", {sum, own + ".places", own + ".weighted"}, {own + ".sum"},
             {{"reduction", std::string("add")}});
    sum = own + ".sum";
    return absl::OkStatus();
  }

  absl::Status add_layer(int64_t index, std::string& residual, std::string& normalized) {
    const std::string stem = str_cat("layer.", index);
    const architecture::Layer& layer = to_.layer(index);
    FRUGAL_RETURN_IF_ERROR(add_attention(index, normalized, stem));
    const std::string mixed = norm_behind(layer.after_attention.has_value(),
                                          Role::kNormAfterAttention, index, stem + ".o");
    add_and_normalize(layer.before_feed_forward, Role::kNormBeforeFeedForward, index,
                      multiplied(mixed, layer.residual_multiplier), stem + ".middle", residual,
                      normalized);
    FRUGAL_RETURN_IF_ERROR(add_feed_forward(index, normalized, stem));
    const std::string fed = norm_behind(layer.after_feed_forward.has_value(),
                                        Role::kNormAfterFeedForward, index, stem + ".down");
    const bool last = index + 1 == config_.layer_count();
    const std::optional<architecture::Norm> norm =
        last ? config_.final_norm : to_.layer(index + 1).before_attention;
    add_and_normalize(norm, last ? Role::kFinalNorm : Role::kNormBeforeAttention, index + 1,
                      multiplied(fed, layer.residual_multiplier), stem + ".end", residual,
                      normalized);
    return absl::OkStatus();
  }

  absl::Status add_head(const std::string& normalized) {
    const architecture::LogitRule& rule = config_.logit_rule;
    if (rule.changes_nothing()) return add_head_product(normalized, "logits");
    FRUGAL_RETURN_IF_ERROR(add_head_product(normalized, "logits.product"));
    if (!rule.cap) {
      to_.constant<float>("logits.scale", {}, {static_cast<float>(rule.scale)});
      to_.node("Mul", "", {"logits.product", "logits.scale"}, {"logits"});
      return absl::OkStatus();
    }
    to_.constant<float>("logits.scale", {}, {static_cast<float>(rule.scale / *rule.cap)});
    to_.constant<float>("logits.cap", {}, {static_cast<float>(*rule.cap)});
    to_.node("Mul", "", {"logits.product", "logits.scale"}, {"logits.scaled"});
    to_.node("Tanh", "", {"logits.scaled"}, {"logits.bounded"});
    to_.node("Mul", "", {"logits.bounded", "logits.cap"}, {"logits"});
    return absl::OkStatus();
  }

  // A tied head is the embedding: its integers (of standard operators a copy of them, in the order
  // of products), or its floats turned round; ONNX Runtime folds the Transpose when it loads the
  // model.
  absl::Status add_head_product(const std::string& normalized, const std::string& output) {
    const std::string head = architecture::head_name(config_);
    if (!config_.tied_embeddings || products_.gathers_integers(head))
      return products_.multiply(normalized, head, output);
    to_.node("Transpose", "", {head}, {"head"}, {{"perm", std::vector<int64_t>{1, 0}}});
    to_.node("MatMul", "", {normalized, "head"}, {output});
    return absl::OkStatus();
  }

  const std::string& name_;
  const architecture::ModelConfig& config_;
  GraphNodes to_;
  GraphProducts products_;
  GraphRotary rotary_;
  GraphAttention attention_;
  const bool standard_;
  std::set<std::string> shapes_of_heads_;  // constants that norm_heads has added
  std::string rows_shape_;                 // the constant that add_experts has added
};

}  // namespace

int64_t rotary_bytes(const architecture::ModelConfig& config) {
  constexpr int64_t kTables = 2;
  int64_t channels = 0;
  for (const Rotation& rotation : rotations(config)) {
    if (!rotation.depends_on_length()) channels += rotation.pairs();
  }
  return kTables * config.context_length * channels * static_cast<int64_t>(sizeof(float));
}

absl::StatusOr<OnnxGraph> build_onnx_graph(const format::ModelInfo& model,
                                           const OnnxOptions& options) {
  return GraphBuilder(model, options).build();
}

}  // namespace frugal::artifact
