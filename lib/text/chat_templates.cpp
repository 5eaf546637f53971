#include "text/chat_templates.h"

#include <algorithm>

#include "base/file.h"
#include "base/file_kind.h"
#include "base/json.h"

namespace frugal::text {
namespace {

namespace fs = std::filesystem;
using base::Json;
using Variables = std::map<std::string, std::string>;

constexpr int64_t kMaxBytes = int64_t{64} << 20;
constexpr const char* kTokens[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                   "pad_token", "cls_token", "mask_token"};

absl::StatusOr<Json> read_object(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return Json::object();
  FRUGAL_ASSIGN_OR_RETURN(Json json, base::read_json(path, kMaxBytes));
  if (!json.is_object()) return base::invalid_argument(path.string(), ": expected an object");
  return json;
}

absl::Status read_jinja(const fs::path& path, const std::string& name, ChatTemplates& made) {
  FRUGAL_ASSIGN_OR_RETURN(std::string source, base::read_file(path, kMaxBytes));
  if (!source.empty()) FRUGAL_RETURN_IF_ERROR(base::refuse_foreign(source, path));
  made.sources.emplace_back(name, std::move(source));
  return absl::OkStatus();
}

absl::Status read_jinja_files(const fs::path& folder, ChatTemplates& made) {
  std::error_code error;
  if (const fs::path file = folder / "chat_template.jinja"; fs::exists(file, error))
    FRUGAL_RETURN_IF_ERROR(read_jinja(file, "default", made));
  std::vector<fs::path> others;
  for (const auto& entry : fs::directory_iterator(folder / "additional_chat_templates", error)) {
    if (entry.path().extension() == ".jinja") others.push_back(entry.path());
  }
  std::sort(others.begin(), others.end());
  for (const fs::path& file : others)
    FRUGAL_RETURN_IF_ERROR(read_jinja(file, file.stem().string(), made));
  return absl::OkStatus();
}

// "chat_template" of a JSON file.
absl::Status read_field(const Json& config, const fs::path& path, ChatTemplates& made) {
  const auto found = config.find("chat_template");
  if (found == config.end() || found->is_null()) return absl::OkStatus();
  if (found->is_string()) {
    made.sources.emplace_back("default", found->get<std::string>());
    return absl::OkStatus();
  }
  if (!found->is_array())
    return base::invalid_argument(path.string(),
                                  ": 'chat_template' must be a text, or a list of named ones");
  for (const Json& named : *found) {
    FRUGAL_ASSIGN_OR_RETURN(std::string name,
                            base::json_get<std::string>(named, "name", path.string()));
    FRUGAL_ASSIGN_OR_RETURN(std::string source,
                            base::json_get<std::string>(named, "template", path.string()));
    made.sources.emplace_back(std::move(name), std::move(source));
  }
  return absl::OkStatus();
}

// "<s>" or {"content": "<s>", ...}; what is neither is said where tokens are read.
void add_token(const Json& value, const std::string& name, Variables& variables) {
  if (variables.contains(name)) return;
  if (value.is_string()) variables[name] = value.get<std::string>();
  if (value.is_object() && value.contains("content") && value["content"].is_string())
    variables[name] = value["content"].get<std::string>();
}

void add_tokens(const Json& config, Variables& variables) {
  for (const char* name : kTokens) {
    if (const auto found = config.find(name); found != config.end())
      add_token(*found, name, variables);
  }
  // Names that a model gives to further ones: {"image_token": "<image>"}.
  const auto extra = config.find("extra_special_tokens");
  if (extra == config.end() || !extra->is_object()) return;
  for (const auto& [name, value] : extra->items()) add_token(value, name, variables);
}

}  // namespace

const std::string* ChatTemplates::find(std::string_view name) const {
  const auto found = std::find_if(sources.begin(), sources.end(),
                                  [&](const auto& source) { return source.first == name; });
  return found == sources.end() ? nullptr : &found->second;
}

absl::StatusOr<const std::string*> ChatTemplates::choose(bool with_tools) const {
  if (sources.empty()) return nullptr;
  if (with_tools) {
    if (const std::string* found = find("tool_use")) return found;
  }
  if (const std::string* found = find("default")) return found;
  std::vector<std::string> names;
  for (const auto& [name, source] : sources) names.push_back(name);
  return base::invalid_argument("the model has the chat templates ", base::join(names, ", "),
                                ", but none named 'default'; choose one by its name");
}

absl::StatusOr<ChatTemplates> read_chat_templates(const fs::path& folder) {
  ChatTemplates made;
  const fs::path config_file = folder / "tokenizer_config.json";
  const fs::path legacy_file = folder / "chat_template.json";
  FRUGAL_ASSIGN_OR_RETURN(const Json config, read_object(config_file));
  FRUGAL_ASSIGN_OR_RETURN(const Json map, read_object(folder / "special_tokens_map.json"));
  FRUGAL_RETURN_IF_ERROR(read_jinja_files(folder, made));
  if (made.sources.empty()) FRUGAL_RETURN_IF_ERROR(read_field(config, config_file, made));
  if (made.sources.empty()) {
    FRUGAL_ASSIGN_OR_RETURN(const Json legacy, read_object(legacy_file));
    FRUGAL_RETURN_IF_ERROR(read_field(legacy, legacy_file, made));
  }
  add_tokens(config, made.variables);
  add_tokens(map, made.variables);
  return made;
}

}  // namespace frugal::text
