#include "text/special_tokens.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "text/chat_templates.h"
#include "text/tokenizer_json.h"

namespace frugal::text {
namespace {

namespace fs = std::filesystem;
using base::Json;

constexpr int64_t kMaxConfigBytes = int64_t{64} << 20;

absl::StatusOr<Json> read_optional(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return Json::object();
  FRUGAL_ASSIGN_OR_RETURN(Json json, base::read_json(path, kMaxConfigBytes));
  if (!json.is_object()) return base::invalid_argument(path.string(), ": expected an object");
  return json;
}

// "text", {"content": "text"} or null.
absl::StatusOr<std::optional<std::string>> token_text(const Json& config, const char* key,
                                                      const std::string& where) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return std::nullopt;
  if (found->is_string()) return found->get<std::string>();
  if (found->is_object()) {
    FRUGAL_ASSIGN_OR_RETURN(std::string content,
                            base::json_get<std::string>(*found, "content", where));
    return content;
  }
  return base::invalid_argument(where, ": '", key, "' must be text or an object with 'content'");
}

absl::Status read_names(const Json& config, const std::string& where, SpecialTokens& special) {
  const auto read = [&](const char* key, std::optional<std::string>& into) -> absl::Status {
    FRUGAL_ASSIGN_OR_RETURN(std::optional<std::string> text, token_text(config, key, where));
    if (text && !into) into = std::move(text);
    return absl::OkStatus();
  };
  FRUGAL_RETURN_IF_ERROR(read("bos_token", special.bos));
  FRUGAL_RETURN_IF_ERROR(read("eos_token", special.eos));
  FRUGAL_RETURN_IF_ERROR(read("unk_token", special.unknown));
  return read("pad_token", special.padding);
}

std::set<std::string> special_names(const Json& map) {
  std::set<std::string> names;
  const auto take = [&](const Json& value) {
    if (value.is_string()) names.insert(value.get<std::string>());
    if (value.is_object() && value.contains("content") && value["content"].is_string()) {
      names.insert(value["content"].get<std::string>());
    }
  };
  for (const auto& [key, value] : map.items()) {
    if (value.is_array())
      std::for_each(value.begin(), value.end(), take);
    else
      take(value);
  }
  return names;
}

// {"151643": {"content": …}} of tokenizer_config.json.
absl::Status read_added_decoder(const Json& config, const std::string& where,
                                std::vector<AddedToken>& added) {
  const auto table = config.find("added_tokens_decoder");
  if (table == config.end() || !table->is_object()) return absl::OkStatus();
  for (const auto& [key, value] : table->items()) {
    TokenId id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0) {
      return base::invalid_argument(where, ": added_tokens_decoder has the key '", key,
                                    "'; expected an id");
    }
    FRUGAL_ASSIGN_OR_RETURN(AddedToken token, parse_added_token(value, id, where));
    added.push_back(std::move(token));
  }
  return absl::OkStatus();
}

// {"<|im_end|>": 151645} of added_tokens.json.
absl::Status read_added_map(const Json& map, const std::string& where,
                            const std::set<std::string>& special, std::vector<AddedToken>& added) {
  for (const auto& [content, id] : map.items()) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 ||
        id.get<int64_t>() > (int64_t{1} << 30)) {
      return base::invalid_argument(where, ": '", content, "' has the id ",
                                    id.dump().substr(0, 40));
    }
    const auto number = static_cast<TokenId>(id.get<int64_t>());
    const bool known = std::any_of(added.begin(), added.end(),
                                   [&](const AddedToken& t) { return t.id == number; });
    if (!known && !content.empty())
      added.push_back({number, content, false, false, false, false, special.contains(content)});
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<FolderTokens> read_folder_tokens(const fs::path& folder) {
  FolderTokens result;
  const std::string config_name = (folder / "tokenizer_config.json").string();
  const std::string map_name = (folder / "special_tokens_map.json").string();
  const std::string added_name = (folder / "added_tokens.json").string();
  FRUGAL_ASSIGN_OR_RETURN(const Json config, read_optional(config_name));
  FRUGAL_ASSIGN_OR_RETURN(const Json map, read_optional(map_name));
  FRUGAL_ASSIGN_OR_RETURN(const Json added, read_optional(added_name));
  FRUGAL_ASSIGN_OR_RETURN(const Json model, read_optional(folder / "config.json"));
  FRUGAL_RETURN_IF_ERROR(read_names(config, config_name, result.special));
  FRUGAL_RETURN_IF_ERROR(read_names(map, map_name, result.special));
  FRUGAL_ASSIGN_OR_RETURN(result.special.chat, read_chat_templates(folder));
  FRUGAL_RETURN_IF_ERROR(read_added_decoder(config, config_name, result.added));
  FRUGAL_RETURN_IF_ERROR(read_added_map(added, added_name, special_names(map), result.added));
  std::sort(result.added.begin(), result.added.end(),
            [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  const auto flag = [&](const char* key, std::optional<bool>& into) {
    const auto found = config.find(key);
    if (found != config.end() && found->is_boolean()) into = found->get<bool>();
  };
  flag("add_bos_token", result.special.add_bos);
  flag("add_eos_token", result.special.add_eos);
  FRUGAL_ASSIGN_OR_RETURN(result.tokenizer_class, base::json_get_or<std::string>(
                                                      config, "tokenizer_class", "", config_name));
  FRUGAL_ASSIGN_OR_RETURN(result.model_type,
                          base::json_get_or<std::string>(model, "model_type", "", "config.json"));
  return result;
}

}  // namespace frugal::text
