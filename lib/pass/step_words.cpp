#include "pass/step_words.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "base/text.h"

namespace frugal::pass {
namespace {

using base::Json;

// Options that say what a step did, in the order of telling, whatever the pass.
constexpr std::array<std::string_view, 22> kTelling = {
    "recipe",  "method", "grid",   "target_bits", "target_size", "activations", "pattern",  "kind",
    "score",   "ffn",    "heads",  "channels",    "layers",      "experts",     "sparsity", "loss",
    "teacher", "data",   "tokens", "epochs",      "steps",       "format"};

// Empty for what says nothing: "", "none", 0, false, an empty list.
std::string value_text(const Json& value) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    return text == "none" || text == "auto" ? "" : text;
  }
  if (value.is_number_float())
    return value.get<double>() == 0 ? "" : base::str_cat(value.get<double>());
  if (value.is_number()) return value == 0 ? "" : value.dump();
  if (!value.is_array()) return "";
  std::vector<std::string> texts;
  for (const Json& entry : value) {
    if (std::string text = value_text(entry); !text.empty()) texts.push_back(std::move(text));
  }
  return base::join(texts, ", ");
}

Json option(const Json& record, std::string_view name) {
  const auto options = record.find("options");
  if (options == record.end() || !options->is_object()) return nullptr;
  const auto found = options->find(std::string(name));
  return found == options->end() ? Json() : *found;
}

}  // namespace

CalibrationUse calibration_of(const Json& record) {
  CalibrationUse use{.data = value_text(option(record, "calibration"))};
  const auto tables = record.find("tables");
  if (use.data.empty() || tables == record.end() || !tables->is_object()) return use;
  const auto rows = tables->find("layer_error");
  if (rows == tables->end() || !rows->is_array()) return use;
  for (const Json& row : *rows) {
    if (row.is_object() && row.contains("tokens") && row["tokens"].is_number())
      use.tokens = std::max(use.tokens, row["tokens"].get<int64_t>());
  }
  return use;
}

std::string step_in_words(const Json& record) {
  std::vector<std::string> said;
  for (const std::string_view name : kTelling) {
    const std::string text = value_text(option(record, name));
    if (text.empty()) continue;
    std::string words(name);
    std::replace(words.begin(), words.end(), '_', ' ');
    said.push_back(base::str_cat(words, " ", text));
  }
  const CalibrationUse use = calibration_of(record);
  if (use.tokens > 0)
    said.push_back(base::str_cat("calibrated on ", use.tokens, " tokens of ", use.data));
  const auto pass = record.find("pass");
  const std::string name =
      pass != record.end() && pass->is_string() ? pass->get<std::string>() : "";
  return said.empty() ? name : base::str_cat(name, ": ", base::join(said, ", "));
}

}  // namespace frugal::pass
