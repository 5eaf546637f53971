#include "format/genai_folder.h"

#include <algorithm>
#include <array>

#include "architecture/config_reader.h"
#include "base/text.h"
#include "format/checkpoint_files.h"

namespace frugal::format {
namespace {

namespace fs = std::filesystem;
using base::Json;

constexpr std::string_view kGenaiConfigFile = "genai_config.json";

// The graph lies in the folder; models in several graphs name none here.
absl::Status check_graph(const fs::path& folder, const Json& model, const std::string& where) {
  const auto decoder = model.find("decoder");
  if (decoder == model.end() || !decoder->is_object() || !decoder->contains("filename"))
    return absl::OkStatus();
  FRUGAL_ASSIGN_OR_RETURN(const std::string name,
                          base::json_get<std::string>(*decoder, "filename", where));
  const fs::path file = name;  // a link of a model cache may lead elsewhere, a name may not
  if (file.is_absolute() || std::find(file.begin(), file.end(), "..") != file.end())
    return base::invalid_argument(where, ": 'filename' is '", name.substr(0, 80),
                                  "', expected a file in the folder");
  std::error_code ignored;
  if (fs::is_regular_file(folder / file, ignored)) return absl::OkStatus();
  return base::not_found(where, ": there is no file '", name.substr(0, 80), "' in the folder");
}

// Of graph and weights, which lie in a file of their own where they are large.
absl::StatusOr<int64_t> onnx_bytes(const fs::path& folder) {
  int64_t bytes = 0;
  std::error_code error;
  for (auto entry = fs::directory_iterator(folder, error);
       !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const bool is_onnx = entry->path().filename().string().find(".onnx") != std::string::npos;
    if (is_onnx && entry->is_regular_file(error))
      bytes += static_cast<int64_t>(entry->file_size(error));
  }
  if (error) return base::system_error("list", folder.string(), error.value());
  return bytes;
}

}  // namespace

bool is_genai_folder(const fs::path& folder) {
  std::error_code ignored;
  return fs::is_regular_file(folder / kGenaiConfigFile, ignored) &&
         !fs::exists(folder / kSingleFile, ignored) && !fs::exists(folder / kIndexFile, ignored);
}

absl::StatusOr<architecture::ModelConfig> genai_model_config(const fs::path& folder) {
  const std::string file = (folder / kGenaiConfigFile).string();
  architecture::ModelConfig config;
  FRUGAL_ASSIGN_OR_RETURN(config.source, base::read_json(file, kMaxJsonBytes));
  if (!config.source.is_object()) return base::invalid_argument(file, ": expected a JSON object");
  FRUGAL_ASSIGN_OR_RETURN(const Json model, base::json_get<Json>(config.source, "model", file));
  const std::string where = file + ": 'model'";
  if (!model.is_object()) return base::invalid_argument(where, ": expected a JSON object");
  FRUGAL_ASSIGN_OR_RETURN(config.model_type, base::json_get<std::string>(model, "type", where));
  FRUGAL_ASSIGN_OR_RETURN(
      config.vocabulary_size,
      architecture::positive(model, "vocab_size", architecture::kMaxVocabulary, where));
  FRUGAL_ASSIGN_OR_RETURN(
      config.context_length,
      architecture::positive(model, "context_length", architecture::kMaxContext, where));
  FRUGAL_RETURN_IF_ERROR(architecture::read_token_ids(model, where, config));
  FRUGAL_RETURN_IF_ERROR(check_graph(folder, model, where));
  return config;
}

absl::StatusOr<ModelInfo> genai_model_info(const fs::path& folder) {
  ModelInfo info;
  info.name = folder.filename().string();
  FRUGAL_ASSIGN_OR_RETURN(info.config, genai_model_config(folder));
  FRUGAL_ASSIGN_OR_RETURN(info.size_bytes, onnx_bytes(folder));
  info.dtype = "";
  std::error_code ignored;
  info.has_tokenizer = fs::exists(folder / "tokenizer.json", ignored) ||
                       fs::exists(folder / "tokenizer.model", ignored);
  if (info.has_tokenizer) info.tokenizer_folder = folder;
  return info;
}

}  // namespace frugal::format
