#include "evaluate/items.h"

#include "base/file.h"
#include "base/text.h"

namespace frugal::evaluate {
namespace {

using base::Json;
using base::json_get;

// The list under `key`, every element of type T.
template <typename T>
absl::StatusOr<std::vector<T>> list(const Json& json, std::string_view key,
                                    std::string_view where) {
  FRUGAL_ASSIGN_OR_RETURN(const Json values, json_get<Json>(json, key, where));
  if (!values.is_array()) {
    return base::invalid_argument(where, ": '", key, "' must be a list");
  }
  std::vector<T> result;
  for (const Json& value : values) {
    // A one-key object lends the element the typed access and message of json_get.
    FRUGAL_ASSIGN_OR_RETURN(T element, json_get<T>(Json{{std::string(key), value}}, key, where));
    result.push_back(std::move(element));
  }
  return result;
}

absl::Status same_size(size_t a, size_t b, std::string_view what, std::string_view where) {
  if (a == b) return absl::OkStatus();
  return base::invalid_argument(where, ": ", a, " and ", b, " entries in ", what,
                                ", expected equally many");
}

}  // namespace

Json to_json(const ClassificationItem& item) {
  Json scores = Json::array();
  for (const double score : item.scores) scores.push_back(base::finite_or_null(score));
  return Json{{"id", item.id},        {"label", item.label},   {"predicted", item.predicted},
              {"right", item.right},  {"labels", item.labels}, {"scores", scores},
              {"tokens", item.tokens}};
}

Json to_json(const GenerationItem& item) {
  Json mentioned = Json::array();
  for (const bool value : item.mentioned) mentioned.push_back(value);
  return Json{{"id", item.id},
              {"prompt", item.prompt},
              {"generated", item.generated},
              {"references", item.references},
              {"attributes", item.attributes},
              {"mentioned", mentioned},
              {"coverage", base::finite_or_null(item.coverage)}};
}

absl::StatusOr<ClassificationItem> classification_item(const Json& json, std::string_view where) {
  ClassificationItem item;
  FRUGAL_ASSIGN_OR_RETURN(item.id, json_get<std::string>(json, "id", where));
  FRUGAL_ASSIGN_OR_RETURN(item.label, json_get<std::string>(json, "label", where));
  FRUGAL_ASSIGN_OR_RETURN(item.predicted, json_get<std::string>(json, "predicted", where));
  FRUGAL_ASSIGN_OR_RETURN(item.right, json_get<bool>(json, "right", where));
  FRUGAL_ASSIGN_OR_RETURN(item.labels, list<std::string>(json, "labels", where));
  FRUGAL_ASSIGN_OR_RETURN(item.scores, list<double>(json, "scores", where));
  FRUGAL_ASSIGN_OR_RETURN(item.tokens, list<int64_t>(json, "tokens", where));
  FRUGAL_RETURN_IF_ERROR(
      same_size(item.labels.size(), item.scores.size(), "labels and scores", where));
  return item;
}

absl::StatusOr<GenerationItem> generation_item(const Json& json, std::string_view where) {
  GenerationItem item;
  FRUGAL_ASSIGN_OR_RETURN(item.id, json_get<std::string>(json, "id", where));
  FRUGAL_ASSIGN_OR_RETURN(item.prompt, json_get<std::string>(json, "prompt", where));
  FRUGAL_ASSIGN_OR_RETURN(item.generated, json_get<std::string>(json, "generated", where));
  FRUGAL_ASSIGN_OR_RETURN(item.references, list<std::string>(json, "references", where));
  FRUGAL_ASSIGN_OR_RETURN(item.attributes, list<std::string>(json, "attributes", where));
  FRUGAL_ASSIGN_OR_RETURN(item.mentioned, list<bool>(json, "mentioned", where));
  if (!item.attributes.empty()) {
    FRUGAL_ASSIGN_OR_RETURN(item.coverage, json_get<double>(json, "coverage", where));
  }
  FRUGAL_RETURN_IF_ERROR(
      same_size(item.attributes.size(), item.mentioned.size(), "attributes and mentioned", where));
  return item;
}

std::vector<Json> window_items(const Perplexity& perplexity) {
  std::vector<Json> result;
  for (size_t w = 0; w < perplexity.window_nll.size(); ++w) {
    result.push_back({{"window", w},
                      {"document", perplexity.window_document[w]},
                      {"nll", perplexity.window_nll[w]},
                      {"tokens", perplexity.window_tokens[w]}});
  }
  return result;
}

std::vector<Json> window_items(const Divergence& divergence) {
  std::vector<Json> result;
  for (size_t w = 0; w < divergence.items.size(); ++w) {
    const WindowDivergence& item = divergence.items[w];
    result.push_back({{"window", w},
                      {"document", item.document},
                      {"tokens", item.tokens},
                      {"kl", item.kl},
                      {"same_top", item.same_top},
                      {"nll", item.nll},
                      {"reference_nll", item.reference_nll},
                      {"delta_p", item.delta_p},
                      {"delta_p_squared", item.delta_p_squared},
                      {"expected_acceptance", item.expected_acceptance}});
  }
  return result;
}

absl::Status write_jsonl(const std::filesystem::path& path, const std::vector<Json>& lines) {
  std::string text;
  for (const Json& line : lines) {
    // Generated bytes need not be whole characters; a broken one is written as U+FFFD.
    text += line.dump(-1, ' ', false, Json::error_handler_t::replace);
    text += '\n';
  }
  return base::write_file_atomically(path, text);
}

absl::StatusOr<std::vector<Json>> read_jsonl(const std::filesystem::path& path) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string text, base::read_file(path));
  std::vector<Json> result;
  int64_t number = 0;
  for (const std::string& line : base::split(text, '\n')) {
    ++number;
    if (line.empty()) continue;
    FRUGAL_ASSIGN_OR_RETURN(Json json,
                            base::parse_json(line, base::str_cat(path.string(), ":", number)));
    result.push_back(std::move(json));
  }
  return result;
}

}  // namespace frugal::evaluate
