#include "passes/export/card_facts.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

namespace frugal::passes {
namespace {

using base::Json;

std::optional<std::string> text_of(const Json& object, std::string_view key) {
  const auto found = object.find(std::string(key));
  if (found == object.end() || !found->is_string() || found->get_ref<const std::string&>().empty())
    return std::nullopt;
  return found->get<std::string>();
}

bool is_id_part(std::string_view text) {
  return !text.empty() && text.front() != '.' && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.';
  });
}

// "org/name"; a path of this machine has another number of parts, or none of such letters.
bool is_repository(std::string_view text) {
  const size_t slash = text.find('/');
  return slash != std::string_view::npos && is_id_part(text.substr(0, slash)) &&
         is_id_part(text.substr(slash + 1));
}

std::optional<std::string> repository_of(const std::optional<std::string>& url) {
  constexpr std::string_view kHub = "https://huggingface.co/";
  if (!url || !url->starts_with(kHub)) return std::nullopt;
  std::string id = url->substr(kHub.size());
  if (id.ends_with('/')) id.pop_back();
  if (!is_repository(id)) return std::nullopt;
  return id;
}

std::optional<std::string> base_model(const Json& card) {
  for (const char* key : {"general.repo_url", "general.source.repo_url", "general.source.url",
                          "general.url", "general.base_model.0.repo_url"}) {
    if (auto id = repository_of(text_of(card, key))) return id;
  }
  return std::nullopt;
}

}  // namespace

Json card_facts(const architecture::ModelConfig& config) {
  Json facts = Json::object();
  if (!config.source.is_object()) return facts;
  const Json own = config.source.value("frugal", Json::object());
  const Json card = own.is_object() ? own.value("card", Json::object()) : Json::object();
  if (!card.is_object()) return facts;
  if (auto id = base_model(card)) facts["base_model"] = *id;
  if (auto loaded = text_of(config.source, "_name_or_path")) facts["loaded_from"] = *loaded;
  for (const auto& [key, name] : {std::pair{"general.license", "license"},
                                  {"general.license.name", "license_name"},
                                  {"general.license.link", "license_link"},
                                  {"general.languages", "languages"},
                                  {"general.tags", "tags"}}) {
    if (const auto found = card.find(key); found != card.end()) facts[name] = *found;
  }
  return facts;
}

}  // namespace frugal::passes
