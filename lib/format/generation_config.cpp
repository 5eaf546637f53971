#include "format/generation_config.h"

#include "architecture/config_reader.h"
#include "format/checkpoint_files.h"

namespace frugal::format {

using base::Json;

absl::Status apply_generation_config(const std::filesystem::path& folder,
                                     architecture::ModelConfig& config) {
  const std::filesystem::path file = folder / kGenerationConfigFile;
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return absl::OkStatus();
  FRUGAL_ASSIGN_OR_RETURN(const Json json, base::read_json(file, kMaxJsonBytes));
  const std::string where = file.string();
  if (!json.is_object()) return base::invalid_argument(where, ": expected a JSON object");
  const int64_t size = config.vocabulary_size;
  FRUGAL_ASSIGN_OR_RETURN(auto bos, architecture::token_ids(json, "bos_token_id", size, where));
  FRUGAL_ASSIGN_OR_RETURN(auto eos, architecture::token_ids(json, "eos_token_id", size, where));
  FRUGAL_ASSIGN_OR_RETURN(const auto pad,
                          architecture::token_ids(json, "pad_token_id", size, where));
  if (!bos.empty()) config.bos_token_ids = std::move(bos);
  if (!eos.empty()) config.eos_token_ids = std::move(eos);
  if (!pad.empty()) config.pad_token_id = pad.front();
  return absl::OkStatus();
}

}  // namespace frugal::format
