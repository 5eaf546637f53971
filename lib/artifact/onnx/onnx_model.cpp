// Tested by: tests/runtime/onnx_runtime.py
#include "artifact/onnx/onnx_model.h"

#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <span>

#include "architecture/family.h"
#include "architecture/tensors.h"
#include "artifact/onnx/onnx_graph.h"
#include "artifact/onnx/onnx_weights.h"
#include "artifact/onnx/rotary.h"
#include "artifact/read_back.h"
#include "artifact/special_ids.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/process.h"
#include "base/text.h"
#include "format/metadata.h"
#include "text/chat_template_files.h"

namespace frugal::artifact {

namespace {

using base::invalid_argument;
using base::str_cat;

template <typename T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span<const T>(values));
}

std::vector<float> frequencies(const architecture::ModelConfig& config, int64_t layer,
                               bool beyond = false) {
  const Rotation rotation = rotation_of(config, layer);
  return rotary_frequencies(rotation.rope, rotation.head_size, beyond);
}

// cos or sin of position times frequency, [context_length, R / 2] fp32, times the attention factor;
// the products are formed in fp32, as the forward does.
std::vector<float> rotary_table(const architecture::ModelConfig& config, int64_t layer, bool sine) {
  const std::vector<float> by_channel = frequencies(config, layer);
  const auto factor = static_cast<float>(rotation_of(config, layer).attention_factor());
  std::vector<float> table;
  table.reserve(static_cast<size_t>(config.context_length) * by_channel.size());
  for (int64_t position = 0; position < config.context_length; ++position) {
    for (const float frequency : by_channel) {
      const float angle = static_cast<float>(position) * frequency;
      table.push_back((sine ? std::sin(angle) : std::cos(angle)) * factor);
    }
  }
  return table;
}

// Takes the bytes of an initializer.
using Sink = std::function<absl::Status(std::string_view initializer, std::span<const std::byte>)>;

// Streams the initializers; the three parts of a quantized matrix come from one decode.
class WeightStream {
 public:
  WeightStream(const format::Checkpoint& checkpoint, Sink sink)
      : checkpoint_(checkpoint), sink_(std::move(sink)) {}

  absl::Status write(const OnnxSource& source) {
    switch (source.content) {
      case OnnxContent::kCosine:
      case OnnxContent::kSine:
        return send(source, rotary_table(checkpoint_.config(), source.layer,
                                         source.content == OnnxContent::kSine));
      case OnnxContent::kFrequencies:
      case OnnxContent::kFrequenciesBeyond:
        return send(source,
                    frequencies(checkpoint_.config(), source.layer,
                                /*beyond=*/source.content == OnnxContent::kFrequenciesBeyond));
      case OnnxContent::kValues:
      case OnnxContent::kGains:
      case OnnxContent::kTransposed:
        return write_float(source);
      case OnnxContent::kInt8Values:
      case OnnxContent::kInt8Scales:
        return write_int8(source);
      case OnnxContent::kBlockValues:
      case OnnxContent::kBlockScales:
      case OnnxContent::kBlockZeroPoints:
        return write_blocks(source, BlockOrder::kColumns);
      case OnnxContent::kRowValues:
      case OnnxContent::kRowScales:
      case OnnxContent::kRowZeroPoints:
        return write_blocks(source, BlockOrder::kRows);
      default:
        return write_nbits(source);
    }
  }

 private:
  template <typename T>
  absl::Status send(const OnnxSource& source, const std::vector<T>& values) {
    return sink_(source.initializer, bytes_of(values));
  }

  absl::Status write_float(const OnnxSource& source) {
    FRUGAL_ASSIGN_OR_RETURN(std::vector<float> values, checkpoint_.values(source.weight));
    if (source.offset != 0) {
      for (float& value : values) value = static_cast<float>(value + source.offset);
    }
    if (source.content != OnnxContent::kTransposed) return send(source, values);
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

  absl::Status write_blocks(const OnnxSource& source, BlockOrder order) {
    if (held_ != source.weight || held_order_ != order) {
      FRUGAL_ASSIGN_OR_RETURN(const grid::QuantizedMatrix codes, checkpoint_.codes(source.weight));
      FRUGAL_ASSIGN_OR_RETURN(const NBitsLayout layout, dequantize_layout(codes.grid->spec()));
      FRUGAL_ASSIGN_OR_RETURN(blocks_, to_blocks(codes, layout, order));
      held_ = source.weight;
      held_order_ = order;
    }
    switch (source.content) {
      case OnnxContent::kBlockValues:
      case OnnxContent::kRowValues:
        return send(source, blocks_.values);
      case OnnxContent::kBlockScales:
      case OnnxContent::kRowScales:
        return send(source, blocks_.scales);
      default:
        return send(source, blocks_.zero_points);
    }
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
  Sink sink_;
  std::string held_;
  std::optional<BlockOrder> held_order_;
  NBitsMatrix matrix_;
  BlockMatrix blocks_;
  Int8Matrix integers_;
};

// ONNX Runtime makes MatMulNBits of DequantizeLinear and MatMul; how it then multiplies is a
// setting of the session.
base::Json session_json(const OnnxOptions& options) {
  base::Json session = {{"log_id", "onnxruntime-genai"}, {"provider_options", base::Json::array()}};
  if (options.standard_operators)
    session["session.qdq_matmulnbits_accuracy_level"] = str_cat(options.accuracy_level);
  return session;
}

base::Json decoder_json(const architecture::ModelConfig& config, const OnnxOptions& options) {
  return {{"filename", "model.onnx"},
          {"head_size", config.layers.front().attention.head_size},
          {"hidden_size", config.hidden_size},
          {"num_attention_heads", config.layers.front().attention.heads},
          {"num_hidden_layers", config.layer_count()},
          {"num_key_value_heads", config.layers.front().attention.key_value_heads},
          {"session_options", session_json(options)},
          {"inputs",
           {{"input_ids", "input_ids"},
            {"attention_mask", "attention_mask"},
            {"past_key_names", "past_key_values.%d.key"},
            {"past_value_names", "past_key_values.%d.value"}}},
          {"outputs",
           {{"logits", "logits"},
            {"present_key_names", "present.%d.key"},
            {"present_value_names", "present.%d.value"}}}};
}

// An id, a list of ids, or nothing where there is none: absent is not zero.
void set_ids(base::Json& model, const char* key, const std::vector<int64_t>& ids) {
  if (ids.size() > 1) model[key] = ids;
  if (ids.size() == 1) model[key] = ids.front();
}

// How genai samples where its caller does not say: as generation_config.json says, else greedily.
absl::StatusOr<base::Json> search_json(const architecture::ModelConfig& config,
                                       const OnnxOptions& options,
                                       const std::filesystem::path& folder) {
  base::Json search = {{"do_sample", false},
                       {"max_length", config.context_length},
                       {"min_length", 0},
                       {"num_beams", 1},
                       {"num_return_sequences", 1},
                       // GroupQueryAttention writes the cache in place; Attention, a new one.
                       {"past_present_share_buffer", !options.standard_operators},
                       {"repetition_penalty", 1.0},
                       {"temperature", 1.0},
                       {"top_k", 1},
                       {"top_p", 1.0}};
  const std::filesystem::path file = folder / "generation_config.json";
  if (!std::filesystem::exists(file)) return search;
  FRUGAL_ASSIGN_OR_RETURN(const base::Json given, base::read_json(file));
  const auto sampled = given.find("do_sample");
  if (sampled != given.end() && sampled->is_boolean() && sampled->get<bool>()) {
    search["do_sample"] = true;
    search["top_k"] = 50;  // transformers' default
  }
  for (const char* key : {"repetition_penalty", "temperature", "top_k", "top_p"}) {
    const auto value = given.find(key);
    if (value != given.end() && value->is_number()) search[key] = *value;
  }
  return search;
}

base::Json genai_config(const architecture::ModelConfig& config, const SpecialIds& ids,
                        const OnnxOptions& options, base::Json search) {
  base::Json model = {{"type", std::string(architecture::family_of(config).genai)}};
  if (ids.bos.has_value()) model["bos_token_id"] = *ids.bos;
  set_ids(model, "eos_token_id", ids.eos);
  // Where it is absent genai pads with id 0, an ordinary piece; its own builder takes EOS then.
  model["pad_token_id"] = ids.pad.has_value() ? *ids.pad : ids.eos.front();
  model["context_length"] = config.context_length;
  model["vocab_size"] = config.vocabulary_size;
  model["decoder"] = decoder_json(config, options);
  return {{"model", std::move(model)}, {"search", std::move(search)}};
}

// genai looks for the chat template in tokenizer_config.json first, where it must be one text (a
// list of named ones makes it refuse the tokenizer), then in chat_template.jinja; transformers the
// other way round, and further ones beside it. Both get the one that transformers takes.
absl::Status write_tokenizer_config(const std::filesystem::path& source,
                                    const std::string& chat_template,
                                    const std::filesystem::path& target) {
  base::Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"}};  // genai wants the file
  const bool present = std::filesystem::exists(source);
  if (present) {
    FRUGAL_ASSIGN_OR_RETURN(config, base::read_json(source));
  }
  const auto found = config.find("chat_template");
  const bool fits = found == config.end() ? chat_template.empty() : *found == chat_template;
  if (fits && present) return source == target ? absl::OkStatus() : base::copy_file(source, target);
  if (chat_template.empty())
    config.erase("chat_template");
  else
    config["chat_template"] = chat_template;
  return base::write_file_atomically(target, config.dump(2) + "\n");
}

absl::Status copy_tokenizer(const format::Checkpoint& checkpoint, const text::Tokenizer& tokenizer,
                            const std::filesystem::path& folder) {
  const text::ChatTemplates& chat = tokenizer.vocabulary().chat;
  FRUGAL_RETURN_IF_ERROR(text::write_chat_templates(chat, folder));
  const std::string* const chosen = chat.find("default");
  const std::string chat_template = chosen == nullptr ? "" : *chosen;
  const std::filesystem::path config = folder / "tokenizer_config.json";
  if (!std::filesystem::exists(checkpoint.folder() / "tokenizer.json")) {
    FRUGAL_RETURN_IF_ERROR(text::save_tokenizer(tokenizer, folder));
    return write_tokenizer_config(config, chat_template, config);
  }
  for (const char* name : {"tokenizer.json", "special_tokens_map.json", "added_tokens.json"}) {
    if (!std::filesystem::exists(checkpoint.folder() / name)) continue;
    FRUGAL_RETURN_IF_ERROR(base::copy_file(checkpoint.folder() / name, folder / name));
  }
  return write_tokenizer_config(checkpoint.folder() / "tokenizer_config.json", chat_template,
                                config);
}

// What write_onnx_folder would refuse of the tokenizer and the ids.
absl::Status check_tokenizer(const architecture::ModelConfig& config,
                             const text::Tokenizer& tokenizer, const std::filesystem::path& source,
                             const OnnxOptions& options) {
  FRUGAL_RETURN_IF_ERROR(text::check_fits(tokenizer, config.vocabulary_size, "ONNX export"));
  if (!std::filesystem::exists(source / "tokenizer.json"))
    FRUGAL_RETURN_IF_ERROR(text::check_can_save(tokenizer));
  FRUGAL_RETURN_IF_ERROR(
      text::check_template_names(tokenizer.vocabulary().chat, tokenizer.vocabulary().origin));
  FRUGAL_RETURN_IF_ERROR(check_given_ids(options.eos, config.vocabulary_size));
  if (!special_ids(config, tokenizer.vocabulary(), options.eos).eos.empty())
    return absl::OkStatus();
  return invalid_argument(
      "ONNX export: neither config.json and generation_config.json nor the tokenizer names an end "
      "of text, and onnxruntime-genai would take id 0 for it, an ordinary piece; give "
      "eos_token_id (in the one-liner --eos-token-id), or set it in config.json");
}

// Everything but the model: tokenizer, and what genai wants to know.
absl::Status write_small_files(const format::Checkpoint& checkpoint,
                               const text::Tokenizer& tokenizer, const OnnxOptions& options,
                               const std::filesystem::path& folder) {
  FRUGAL_RETURN_IF_ERROR(copy_tokenizer(checkpoint, tokenizer, folder));
  FRUGAL_ASSIGN_OR_RETURN(base::Json search,
                          search_json(checkpoint.config(), options, checkpoint.folder()));
  const SpecialIds ids = special_ids(checkpoint.config(), tokenizer.vocabulary(), options.eos);
  return base::write_file_atomically(
      folder / "genai_config.json",
      genai_config(checkpoint.config(), ids, options, std::move(search)).dump(2) + "\n");
}

// The small files against those that the same model makes once more, in a folder that goes away.
absl::Status read_back_small_files(const format::Checkpoint& checkpoint,
                                   const text::Tokenizer& tokenizer, const OnnxOptions& options,
                                   const std::filesystem::path& folder) {
  const std::filesystem::path again = folder / ".read-back";
  std::error_code error;
  std::filesystem::create_directories(again, error);
  if (error) return base::system_error("create folder", again.string(), error.value());
  absl::Status status = write_small_files(checkpoint, tokenizer, options, again);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(again)) {
    if (!status.ok() || !entry.is_regular_file()) continue;
    status = same_file(folder / entry.path().lexically_relative(again), entry.path());
  }
  std::filesystem::remove_all(again, error);
  if (status.ok() && error) return base::system_error("remove", again.string(), error.value());
  return status;
}

}  // namespace

absl::Status check_onnx(const format::ModelInfo& model, const OnnxOptions& options) {
  if (!model.has_tokenizer) {
    return invalid_argument(
        "cannot write ", model.name,
        " to ONNX: its folder has no tokenizer, and onnxruntime-genai needs one; put "
        "tokenizer.json beside config.json");
  }
  for (const architecture::Tensor& tensor : architecture::tensors(model.config)) {
    const auto entry = model.grids.find(tensor.name);
    if (entry == model.grids.end() || tensor.role == architecture::Role::kEmbedding) continue;
    if (model.activations.contains(tensor.name)) continue;  // integer products, not in blocks
    FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(entry->second, tensor.shape[1]));
    const auto layout =
        options.standard_operators ? dequantize_layout(grid->spec()) : nbits_layout(grid->spec());
    if (!layout.ok())
      return base::annotate(layout.status(), str_cat("cannot write ", tensor.name, " to ONNX"));
  }
  if (model.tokenizer_folder.empty()) return absl::OkStatus();
  FRUGAL_ASSIGN_OR_RETURN(const auto tokenizer, text::shared_tokenizer(model.tokenizer_folder));
  return check_tokenizer(model.config, *tokenizer, model.tokenizer_folder, options);
}

absl::Status write_onnx_folder(const format::Checkpoint& checkpoint,
                               const text::Tokenizer& tokenizer, const OnnxOptions& options,
                               const std::filesystem::path& folder) {
  FRUGAL_RETURN_IF_ERROR(
      check_tokenizer(checkpoint.config(), tokenizer, checkpoint.folder(), options));
  FRUGAL_ASSIGN_OR_RETURN(const OnnxGraph graph,
                          build_onnx_graph(format::metadata_of(checkpoint), options));
  FRUGAL_ASSIGN_OR_RETURN(auto writer,
                          format::OnnxWriter::create(folder / "model.onnx", graph.model));
  WeightStream stream(checkpoint, [&](std::string_view name, std::span<const std::byte> bytes) {
    return writer.write(name, bytes);
  });
  for (const OnnxSource& source : graph.sources) FRUGAL_RETURN_IF_ERROR(stream.write(source));
  FRUGAL_RETURN_IF_ERROR(writer.commit());
  return write_small_files(checkpoint, tokenizer, options, folder);
}

absl::Status read_back_onnx_folder(const format::Checkpoint& checkpoint,
                                   const text::Tokenizer& tokenizer, const OnnxOptions& options,
                                   const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "model.onnx", data_file = folder / "model.onnx.data";
  FRUGAL_ASSIGN_OR_RETURN(const OnnxGraph graph,
                          build_onnx_graph(format::metadata_of(checkpoint), options));
  FRUGAL_ASSIGN_OR_RETURN(const std::string model, format::OnnxWriter::model_bytes(graph.model));
  FRUGAL_RETURN_IF_ERROR(same_text(file, model));
  FRUGAL_ASSIGN_OR_RETURN(const format::OnnxSummary found, format::read_onnx(file));
  FRUGAL_ASSIGN_OR_RETURN(const base::MappedFile data, base::MappedFile::open(data_file));
  std::map<std::string, const format::OnnxTensorSummary*, std::less<>> places;
  for (const format::OnnxTensorSummary& tensor : found.initializers) places[tensor.name] = &tensor;
  WeightStream stream(
      checkpoint, [&](std::string_view name, std::span<const std::byte> bytes) -> absl::Status {
        FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
        const format::OnnxTensorSummary& place = *places.find(name)->second;  // as in `model`
        const auto stored = data.bytes().subspan(static_cast<size_t>(place.offset),
                                                 static_cast<size_t>(place.size_bytes));
        const absl::Status same =
            same_bytes(data_file.string(), str_cat("'", name, "'"), stored, bytes);
        base::release_pages(stored);
        return same;
      });
  for (const OnnxSource& source : graph.sources) FRUGAL_RETURN_IF_ERROR(stream.write(source));
  return read_back_small_files(checkpoint, tokenizer, options, folder);
}

}  // namespace frugal::artifact
