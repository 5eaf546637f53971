#include <map>

#include "artifact/gguf/gguf_card.h"
#include "artifact/gguf/gguf_config_reader.h"
#include "artifact/gguf/gguf_tokenizer_reader.h"
#include "artifact/gguf/gguf_weights_reader.h"
#include "artifact/importer.h"
#include "base/file.h"
#include "base/file_kind.h"
#include "base/progress.h"
#include "base/text.h"

namespace frugal::artifact {
namespace {

using base::Json;
using base::str_cat;

bool detects(const std::filesystem::path& path) {
  const auto kind = base::recognize_file(path);
  return kind.ok() && *kind == base::FileKind::kGguf;
}

// What generate() takes from the model's owner; config.json says the same.
absl::Status write_generation_config(const architecture::ModelConfig& config,
                                     const std::filesystem::path& folder) {
  Json json = Json::object();
  const auto add = [&](const char* key, const std::vector<int64_t>& ids) {
    if (ids.size() == 1) json[key] = ids.front();
    if (ids.size() > 1) json[key] = ids;
  };
  add("bos_token_id", config.bos_token_ids);
  add("eos_token_id", config.eos_token_ids);
  if (config.pad_token_id) json["pad_token_id"] = *config.pad_token_id;
  return base::write_file_atomically(folder / "generation_config.json", json.dump(2) + "\n");
}

std::vector<std::string> summary(const architecture::ModelConfig& config,
                                 const std::vector<GgufImport>& imports, std::string tokenizer) {
  std::map<std::string, int64_t> tensors;  // by grid or element type
  for (const GgufImport& import : imports) {
    for (const auto& part : import.declared)
      ++tensors[part.grid ? *part.grid : std::string(format::name(part.dtype))];
  }
  std::string kinds;
  for (const auto& [kind, count] : tensors)
    kinds += str_cat(kinds.empty() ? "" : ", ", count, " ", kind);
  return {str_cat(config.architecture, ", ", config.layer_count(), " layers, ",
                  base::format_count(config.parameter_count()), " parameters"),
          str_cat("weights as they are: ", kinds), std::move(tokenizer)};
}

// Writes the tokenizer's files and says what it is. A tokenizer that the files would not make again
// is refused.
absl::StatusOr<std::string> write_tokenizer(const GgufValues& values, int64_t rows,
                                            const std::filesystem::path& folder) {
  FRUGAL_ASSIGN_OR_RETURN(GgufTokenizer tokenizer, read_gguf_tokenizer(values, rows));
  FRUGAL_RETURN_IF_ERROR(text::save_definition(tokenizer.definition, tokenizer.special, folder));
  FRUGAL_ASSIGN_OR_RETURN(text::TokenizerParts parts,
                          text::build_parts(std::move(tokenizer.definition), values.where()));
  FRUGAL_RETURN_IF_ERROR(text::apply_special_tokens(tokenizer.special, values.where(), parts));
  return str_cat(
      "tokenizer of ", base::format_count(static_cast<int64_t>(parts.vocabulary.pieces.size())),
      " pieces, ",
      tokenizer.special.chat.sources.empty() ? "no chat template" : "with a chat template");
}

absl::Status write_weights(const GgufValues& values, const architecture::ModelConfig& config,
                           const std::vector<GgufImport>& imports,
                           const std::filesystem::path& path, const std::filesystem::path& folder) {
  std::vector<format::CheckpointWriter::Tensor> declared;
  int64_t total = 0;
  for (const GgufImport& import : imports) {
    declared.insert(declared.end(), import.declared.begin(), import.declared.end());
    total += import.tensor->size_bytes;
  }
  FRUGAL_ASSIGN_OR_RETURN(auto writer, format::CheckpointWriter::create(folder, config, declared));
  constexpr int64_t kUnit = 1'000'000;
  base::Progress progress(str_cat("import ", path.filename().string()), "MB", total / kUnit);
  int64_t done = 0;
  FRUGAL_RETURN_IF_ERROR(write_gguf_weights(values, imports, writer, [&](int64_t bytes) {
    progress.advance((done + bytes) / kUnit - done / kUnit);
    done += bytes;
  }));
  return writer.finish();
}

absl::StatusOr<std::vector<std::string>> write(const std::filesystem::path& path,
                                               const std::filesystem::path& folder) {
  FRUGAL_ASSIGN_OR_RETURN(const format::GgufFile file, format::GgufFile::open_model(path));
  const GgufValues values(file, path.string());
  FRUGAL_ASSIGN_OR_RETURN(architecture::ModelConfig config, read_gguf_config(values));
  keep_gguf_card(read_gguf_card(values), config);
  FRUGAL_ASSIGN_OR_RETURN(const auto imports, plan_gguf_weights(values, config));
  FRUGAL_ASSIGN_OR_RETURN(std::string tokenizer,
                          write_tokenizer(values, config.vocabulary_size, folder));
  FRUGAL_RETURN_IF_ERROR(write_generation_config(config, folder));
  FRUGAL_RETURN_IF_ERROR(write_weights(values, config, imports, path, folder));
  return summary(config, imports, std::move(tokenizer));
}

}  // namespace

constinit const Importer kGgufImporter{.name = "gguf",
                                       .summary = "gguf is llama.cpp's file of a model",
                                       .version = 2,
                                       .detects = detects,
                                       .files = format::gguf_parts,
                                       .write = write};

}  // namespace frugal::artifact
