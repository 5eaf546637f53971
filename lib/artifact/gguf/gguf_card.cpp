#include "artifact/gguf/gguf_card.h"

#include <algorithm>
#include <array>
#include <limits>

namespace frugal::artifact {
namespace {

using base::Json;
using format::GgufValue;

constexpr const char* kHome = "frugal";
constexpr const char* kCard = "card";
constexpr size_t kLongestText = 1 << 12, kLongestList = 1 << 10;

// Keys, and beginnings of keys, of docs/gguf.md of ggml; not those that name who quantized.
constexpr std::array<std::string_view, 12> kKeys = {
    "general.author",   "general.basename", "general.description", "general.doi",
    "general.finetune", "general.license",  "general.languages",   "general.organization",
    "general.repo_url", "general.tags",     "general.url",         "general.version"};
constexpr std::array<std::string_view, 4> kPrefixes = {"general.license.", "general.base_model.",
                                                       "general.dataset.", "general.source."};

bool is_card_key(std::string_view key) {
  return std::ranges::find(kKeys, key) != kKeys.end() ||
         std::ranges::any_of(kPrefixes,
                             [&](std::string_view prefix) { return key.starts_with(prefix); });
}

bool is_short_text(const std::string& text) { return text.size() <= kLongestText; }

// Null for what no such key holds.
Json as_json(const GgufValue& value) {
  if (const auto* text = std::get_if<std::string>(&value))
    return is_short_text(*text) ? Json(*text) : Json();
  if (const auto* count = std::get_if<uint32_t>(&value)) return *count;
  const auto* list = std::get_if<std::vector<std::string>>(&value);
  const bool fits = list != nullptr && !list->empty() && list->size() <= kLongestList &&
                    std::ranges::all_of(*list, is_short_text);
  return fits ? Json(*list) : Json();
}

std::optional<GgufValue> as_value(const Json& json) {
  if (json.is_string()) return GgufValue(json.get<std::string>());
  if (json.is_number_unsigned() && json.get<uint64_t>() <= std::numeric_limits<uint32_t>::max())
    return GgufValue(json.get<uint32_t>());
  const bool is_list =
      json.is_array() && !json.empty() &&
      std::ranges::all_of(json, [](const Json& entry) { return entry.is_string(); });
  if (is_list) return GgufValue(json.get<std::vector<std::string>>());
  return std::nullopt;
}

}  // namespace

Json read_gguf_card(const GgufValues& values) {
  Json card = Json::object();
  for (const auto& [key, value] : values.file().metadata()) {
    if (!is_card_key(key)) continue;
    if (Json json = as_json(value); !json.is_null()) card[key] = std::move(json);
  }
  return card;
}

void keep_gguf_card(const Json& card, architecture::ModelConfig& config) {
  if (!card.empty()) config.source[kHome][kCard] = card;
}

void add_making(const Making& making, GgufMetadata& metadata) {
  if (making.version.empty()) return;
  const std::string by = base::str_cat("frugal ", making.version);
  if (!making.recipe.empty()) metadata.emplace_back("general.quantized_by", by);
  metadata.emplace_back("frugal.version", making.version);
  if (!making.steps.empty()) metadata.emplace_back("frugal.steps", making.steps);
  if (making.seed && !making.steps.empty()) metadata.emplace_back("frugal.seed", *making.seed);
  if (making.recipe.empty()) return;
  metadata.emplace_back("frugal.quantization.recipe", making.recipe);
  if (!making.method.empty()) metadata.emplace_back("frugal.quantization.method", making.method);
  if (making.calibration.empty()) return;
  metadata.emplace_back("frugal.quantization.calibration", making.calibration);
  metadata.emplace_back("frugal.quantization.calibration_tokens",
                        static_cast<uint64_t>(making.calibration_tokens));
}

void add_gguf_card(const architecture::ModelConfig& config, GgufMetadata& metadata) {
  const Json& source = config.source;
  if (!source.is_object() || !source.contains(kHome) || !source[kHome].is_object()) return;
  const auto card = source[kHome].find(kCard);
  if (card == source[kHome].end() || !card->is_object()) return;
  for (const auto& [key, json] : card->items()) {
    const bool is_there =
        std::ranges::any_of(metadata, [&](const auto& entry) { return entry.first == key; });
    const auto value = as_value(json);
    if (is_card_key(key) && !is_there && value) metadata.emplace_back(key, *value);
  }
}

}  // namespace frugal::artifact
