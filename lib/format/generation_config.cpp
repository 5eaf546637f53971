#include "format/generation_config.h"

#include "format/checkpoint_files.h"

namespace frugal::format {

using base::Json;

absl::StatusOr<std::vector<int64_t>> read_token_ids(const Json& json, std::string_view key,
                                                    int64_t vocabulary_size,
                                                    std::string_view where) {
  std::vector<int64_t> ids;
  const auto found = json.find(std::string(key));
  if (found == json.end() || found->is_null()) return ids;
  const Json list = found->is_array() ? *found : Json::array({*found});
  for (const Json& element : list) {
    if (element.is_number_integer() && element == -1) continue;
    const bool in_range = element.is_number_integer() && element >= 0 && element < vocabulary_size;
    if (!in_range) {
      return base::invalid_argument(
          where, ": '", key, "' holds ",
          element.is_primitive()
              ? element.dump(-1, ' ', true, Json::error_handler_t::replace).substr(0, 40)
              : "a list or object",
          ", expected ids below 'vocab_size' ", vocabulary_size, " or null");
    }
    ids.push_back(element.get<int64_t>());
  }
  return ids;
}

absl::Status apply_generation_config(const std::filesystem::path& folder,
                                     architecture::ModelConfig& config) {
  const std::filesystem::path file = folder / kGenerationConfigFile;
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return absl::OkStatus();
  FRUGAL_ASSIGN_OR_RETURN(const Json json, base::read_json(file, kMaxJsonBytes));
  const std::string where = file.string();
  if (!json.is_object()) return base::invalid_argument(where, ": expected a JSON object");
  const int64_t size = config.vocabulary_size;
  FRUGAL_ASSIGN_OR_RETURN(auto bos, read_token_ids(json, "bos_token_id", size, where));
  FRUGAL_ASSIGN_OR_RETURN(auto eos, read_token_ids(json, "eos_token_id", size, where));
  FRUGAL_ASSIGN_OR_RETURN(const auto pad, read_token_ids(json, "pad_token_id", size, where));
  if (!bos.empty()) config.bos_token_ids = std::move(bos);
  if (!eos.empty()) config.eos_token_ids = std::move(eos);
  if (!pad.empty()) config.pad_token_id = pad.front();
  return absl::OkStatus();
}

}  // namespace frugal::format
