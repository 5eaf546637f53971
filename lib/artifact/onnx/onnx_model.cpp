// Tested by: tests/runtime/onnx_runtime.py
#include "artifact/onnx/onnx_model.h"

#include <cmath>
#include <span>

#include "artifact/onnx/onnx_graph.h"
#include "artifact/onnx/onnx_weights.h"
#include "artifact/onnx/rotary.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"

namespace frugal::artifact {

namespace {

using base::invalid_argument;
using base::str_cat;

template <typename T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span<const T>(values));
}

// cos or sin of position times frequency, [context_length, D / 2] fp32; the product is formed in
// fp32, as the forward does.
std::vector<float> rotary_table(const format::ModelConfig& config, bool sine) {
  std::vector<float> table;
  table.reserve(config.context_length * config.head_size / 2);
  const std::vector<float> frequencies = rotary_frequencies(config);
  for (int64_t position = 0; position < config.context_length; ++position) {
    for (const float frequency : frequencies) {
      const float angle = static_cast<float>(position) * frequency;
      table.push_back(sine ? std::sin(angle) : std::cos(angle));
    }
  }
  return table;
}

// Streams the initializers; the three parts of a quantized matrix come from one decode.
class WeightStream {
 public:
  WeightStream(const format::Checkpoint& checkpoint, format::OnnxWriter& writer)
      : checkpoint_(checkpoint), writer_(writer) {}

  absl::Status write(const OnnxSource& source) {
    switch (source.content) {
      case OnnxContent::kCosine:
      case OnnxContent::kSine:
        return send(source,
                    rotary_table(checkpoint_.config(), source.content == OnnxContent::kSine));
      case OnnxContent::kValues:
      case OnnxContent::kTransposed:
        return write_float(source);
      case OnnxContent::kInt8Values:
      case OnnxContent::kInt8Scales:
        return write_int8(source);
      default:
        return write_nbits(source);
    }
  }

 private:
  template <typename T>
  absl::Status send(const OnnxSource& source, const std::vector<T>& values) {
    return writer_.write(source.initializer, bytes_of(values));
  }

  absl::Status write_float(const OnnxSource& source) {
    FRUGAL_ASSIGN_OR_RETURN(const std::vector<float> values, checkpoint_.values(source.weight));
    if (source.content == OnnxContent::kValues) return send(source, values);
    FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, checkpoint_.info(source.weight));
    return send(source, transposed(values, info.shape[0], info.shape[1]));
  }

  absl::Status write_nbits(const OnnxSource& source) {
    if (held_ != source.weight) {
      FRUGAL_ASSIGN_OR_RETURN(const grid::QuantizedMatrix codes, checkpoint_.codes(source.weight));
      FRUGAL_ASSIGN_OR_RETURN(const NBitsLayout layout, nbits_layout(codes.grid->spec()));
      FRUGAL_ASSIGN_OR_RETURN(matrix_, to_nbits(codes, layout));
      held_ = source.weight;
    }
    if (source.content == OnnxContent::kNBitsValues) return send(source, matrix_.values);
    if (source.content == OnnxContent::kNBitsScales) return send(source, matrix_.scales);
    return send(source, matrix_.zero_points);
  }

  absl::Status write_int8(const OnnxSource& source) {
    if (held_ != source.weight) {
      FRUGAL_ASSIGN_OR_RETURN(const grid::QuantizedMatrix codes, checkpoint_.codes(source.weight));
      integers_ = to_int8(codes);
      held_ = source.weight;
    }
    if (source.content == OnnxContent::kInt8Values) return send(source, integers_.values);
    return send(source, integers_.scales);
  }

  const format::Checkpoint& checkpoint_;
  format::OnnxWriter& writer_;
  std::string held_;
  NBitsMatrix matrix_;
  Int8Matrix integers_;
};

base::Json genai_config(const format::ModelConfig& config, const text::Vocabulary& vocabulary) {
  const auto id_or = [](const std::vector<int64_t>& ids,
                        const std::optional<text::TokenId>& other) -> base::Json {
    if (ids.size() > 1) return ids;
    if (!ids.empty()) return ids.front();
    return other.has_value() ? base::Json(*other) : base::Json(0);
  };
  const base::Json eos = id_or(config.eos_token_ids, vocabulary.eos);
  const base::Json pad = config.pad_token_id.has_value() ? base::Json(*config.pad_token_id)
                         : eos.is_array()                ? eos[0]
                                                         : eos;
  return {
      {"model",
       {{"type", "llama"},
        {"bos_token_id", config.bos_token_ids.empty() ? id_or({}, vocabulary.bos)
                                                      : base::Json(config.bos_token_ids.front())},
        {"eos_token_id", eos},
        {"pad_token_id", pad},
        {"context_length", config.context_length},
        {"vocab_size", config.vocabulary_size},
        {"decoder",
         {{"filename", "model.onnx"},
          {"head_size", config.head_size},
          {"hidden_size", config.hidden_size},
          {"num_attention_heads", config.head_count},
          {"num_hidden_layers", config.layer_count},
          {"num_key_value_heads", config.key_value_head_count},
          {"session_options",
           {{"log_id", "onnxruntime-genai"}, {"provider_options", base::Json::array()}}},
          {"inputs",
           {{"input_ids", "input_ids"},
            {"attention_mask", "attention_mask"},
            {"past_key_names", "past_key_values.%d.key"},
            {"past_value_names", "past_key_values.%d.value"}}},
          {"outputs",
           {{"logits", "logits"},
            {"present_key_names", "present.%d.key"},
            {"present_value_names", "present.%d.value"}}}}}}},
      {"search",
       {{"do_sample", false},
        {"max_length", config.context_length},
        {"min_length", 0},
        {"num_beams", 1},
        {"num_return_sequences", 1},
        {"past_present_share_buffer", true},
        {"repetition_penalty", 1.0},
        {"temperature", 1.0},
        {"top_k", 1},
        {"top_p", 1.0}}}};
}

absl::Status copy_tokenizer(const format::Checkpoint& checkpoint, const text::Tokenizer& tokenizer,
                            const std::filesystem::path& folder) {
  if (!std::filesystem::exists(checkpoint.folder() / "tokenizer.json"))
    return text::save_tokenizer(tokenizer, folder);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"}) {
    if (!std::filesystem::exists(checkpoint.folder() / name)) continue;
    FRUGAL_RETURN_IF_ERROR(base::copy_file(checkpoint.folder() / name, folder / name));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status check_onnx(const format::ModelInfo& model) {
  const std::string& type = model.config.model_type;
  if (type != "llama" && type != "mistral") {
    return base::unimplemented("cannot write ", model.name, " to ONNX: its model_type is '", type,
                               "', and the exporter knows llama and mistral");
  }
  if (!model.has_tokenizer) {
    return invalid_argument(
        "cannot write ", model.name,
        " to ONNX: its folder has no tokenizer, and onnxruntime-genai needs one; put "
        "tokenizer.json beside config.json");
  }
  for (const format::ExpectedTensor& tensor : format::expected_tensors(model.config)) {
    const auto entry = model.grids.find(tensor.name);
    if (entry == model.grids.end() || tensor.name == "model.embed_tokens.weight") continue;
    if (model.activations.contains(tensor.name)) continue;  // integer products, not MatMulNBits
    FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(entry->second, tensor.shape[1]));
    const auto layout = nbits_layout(grid->spec());
    if (!layout.ok())
      return base::annotate(layout.status(), str_cat("cannot write ", tensor.name, " to ONNX"));
  }
  return absl::OkStatus();
}

absl::Status write_onnx_folder(const format::Checkpoint& checkpoint,
                               const text::Tokenizer& tokenizer, const OnnxOptions& options,
                               const std::filesystem::path& folder) {
  FRUGAL_RETURN_IF_ERROR(
      text::check_fits(tokenizer, checkpoint.config().vocabulary_size, "ONNX export"));
  FRUGAL_ASSIGN_OR_RETURN(const OnnxGraph graph, build_onnx_graph(checkpoint, options));
  FRUGAL_ASSIGN_OR_RETURN(auto writer,
                          format::OnnxWriter::create(folder / "model.onnx", graph.model));
  WeightStream stream(checkpoint, writer);
  for (const OnnxSource& source : graph.sources) FRUGAL_RETURN_IF_ERROR(stream.write(source));
  FRUGAL_RETURN_IF_ERROR(writer.commit());
  FRUGAL_RETURN_IF_ERROR(copy_tokenizer(checkpoint, tokenizer, folder));
  return base::write_file_atomically(
      folder / "genai_config.json",
      genai_config(checkpoint.config(), tokenizer.vocabulary()).dump(2) + "\n");
}

}  // namespace frugal::artifact
