#include "report/models.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/text.h"
#include "energy/window.h"
#include "report/access.h"
#include "report/metered.h"

namespace frugal::report {

namespace {

using base::Json;

// How a metric is shown. Patterns are tried in order, and the order is that of the columns.
struct Look {
  std::string_view pattern;
  std::string_view title;
  std::string_view unit;  // empty: as the statistic says
  int direction;          // +1: higher is better
  bool of_models;         // a column of the table of models
  bool of_served;         // and of that of artifacts in their runtimes
};
constexpr std::array kLooks = {
    Look{"weight_bytes", "size", "bytes", -1, true, true},
    Look{"bits_per_weight", "bits/weight", "", -1, true, false},
    Look{"*/accuracy", "accuracy", "fraction", 1, true, true},
    Look{"*/acc", "accuracy", "fraction", 1, true, true},
    Look{"*/acc_norm", "accuracy by length", "fraction", 1, true, true},
    Look{"*/exact_match*", "exact match", "fraction", 1, true, true},
    Look{"*/answer_log_likelihood", "answer log-likelihood", "", 1, true, true},
    Look{"*/coverage", "coverage", "fraction", 1, true, true},
    Look{"*/bleu", "BLEU", "", 1, true, false},
    Look{"*/chrf", "chrF", "", 1, false, false},
    Look{"*/rouge_l", "ROUGE-L", "fraction", 1, false, false},
    Look{"*/rouge_lsum", "ROUGE-Lsum", "fraction", 1, false, false},
    Look{"*/repetition_4", "repetition", "fraction", -1, false, false},
    Look{"*/macro_f1", "macro F1", "fraction", 1, false, false},
    Look{"perplexity", "perplexity", "", -1, true, true},
    Look{"*/perplexity", "perplexity", "", -1, true, true},
    Look{"bits_per_byte", "bits per byte", "", -1, true, false},
    Look{"*/bits_per_byte", "bits per byte", "", -1, true, false},
    Look{"kld/mean", "KL divergence", "", -1, true, true},
    Look{"*/kld/mean", "KL divergence", "", -1, true, false},
    Look{"kld/same_top", "same top token", "fraction", 1, true, false},
    Look{"parameters", "parameters", "count", -1, true, false},
    // What it takes to serve: of an artifact in its runtime, never of a grid in our forward.
    Look{"joules_per_request", "J per response", "J", -1, false, true},
    Look{"joules_per_million_tokens", "J per 1M tokens", "J", -1, false, false},
    Look{"tokens_per_second", "tokens/s", "", 1, false, true},
    Look{"time_to_first_token", "time to first token", "seconds", -1, false, true},
};
constexpr size_t kFirstCost = kLooks.size() - 4;

const Look* look_of(std::string_view metric) {
  for (const Look& look : kLooks) {
    if (base::glob_match(look.pattern, metric)) return &look;
  }
  return nullptr;
}

size_t rank_of(std::string_view metric) {
  const Look* look = look_of(metric);
  return look == nullptr ? kLooks.size() : static_cast<size_t>(look - kLooks.data());
}

// "sentiment/accuracy" with look "accuracy" -> "sentiment accuracy"; "web/kld/mean" with look "KL
// divergence" -> "web KL divergence".
std::string title_of(std::string_view metric, const Look& look) {
  const std::string_view pattern = look.pattern;
  if (pattern.starts_with("*/")) {
    const std::string_view tail = pattern.substr(1);
    const size_t end = metric.ends_with(tail) ? metric.size() - tail.size() : metric.rfind('/');
    return base::str_cat(metric.substr(0, end), " ", look.title);
  }
  return std::string(look.title);
}

bool yields_model(const Json& step) {
  const auto output = step.find("output");
  return output != step.end() && output->is_object() && text_at(*output, "kind") == "checkpoint";
}

// Steps whose statistics describe their input rather than themselves.
bool describes_input(const Json& step) {
  return !yields_model(step) && text_at(step, "pass") != "export" && !list_at(step, "from").empty();
}

struct Models {
  Json list = Json::array();
  std::map<std::string, size_t> position;

  Json& at(const std::string& name) {
    const auto [entry, added] = position.try_emplace(name, list.size());
    if (added)
      list.push_back({{"name", name},
                      {"role", "student"},
                      {"pass", ""},
                      {"architecture", nullptr},
                      {"cells", Json::object()}});
    return list[entry->second];
  }
};

void add_statistics(const Json& step, Json& model) {
  const std::string source = step_name(step);
  for (const Json& statistic : list_at(step, "statistics")) {
    model["cells"][text_at(statistic, "name")] = number_of(statistic, source);
  }
}

// Architecture and size, of a checkpoint that a step made or that was given.
void add_description(const Json& output, const std::string& source, Json& model) {
  model["architecture"] = any_at(output, "architecture");
  for (const std::string_view key : {"weight_bytes", "parameters", "bits_per_weight"}) {
    const auto found = output.find(std::string(key));
    if (found == output.end() || found->is_null()) continue;
    model["cells"][std::string(key)] = {
        {"value", *found}, {"provenance", "measured"}, {"source", source}};
  }
}

// An artifact is the model that it was made of, in files of its own size.
void describe_artifacts(const JournalView& journal, Models& models) {
  for (const Json& step : journal.steps) {
    const auto entry = models.position.find(step_name(step));
    if (text_at(step, "pass") != "export" || entry == models.position.end()) continue;
    Json& cells = models.list[entry->second]["cells"];
    for (const Json& statistic : list_at(step, "statistics")) {
      if (text_at(statistic, "name") == "artifact_bytes")
        cells["weight_bytes"] = number_of(statistic, step_name(step));
    }
    const Json from = list_at(step, "from");
    if (from.empty() || !from[0].is_string()) continue;
    const Json* model = find_model(models.list, from[0].get<std::string>());
    if (model != nullptr) models.list[entry->second]["architecture"] = (*model)["architecture"];
    for (const char* key : {"parameters", "bits_per_weight"}) {
      const Json* number = model == nullptr ? nullptr : find_number(*model, key);
      if (number != nullptr) cells[key] = *number;
    }
  }
}

}  // namespace

std::string step_name(const Json& step) {
  const std::string variant = text_at(step, "variant");
  const std::string id = text_at(step, "id");
  return variant.empty() ? id : base::str_cat(id, "/", variant);
}

Json number_of(const Json& statistic, std::string_view source) {
  Json number = Json::object();
  for (const char* key : {"value", "unit", "help", "provenance", "low", "high", "confidence", "n",
                          "method", "reason", "range", "marks"}) {
    const auto found = statistic.find(key);
    if (found != statistic.end()) number[key] = *found;
  }
  if (!number.contains("value")) number["value"] = nullptr;
  number["source"] = source;
  return number;
}

Json energy_number(const Json& step) {
  Json number = {{"value", nullptr}, {"provenance", "measured"}, {"source", step_name(step)}};
  const auto window = step.find("energy");
  if (window == step.end() || window->is_null()) {
    number["reason"] = text_at(step, "energy_reason", "no meter was read");
    return number;
  }
  const auto result = energy::window_from_json(*window, step_name(step));
  if (!result.ok()) {
    number["reason"] = std::string(base::as_std(result.status().message()));
    return number;
  }
  const energy::Figure total = result->total_joules();
  number["value"] = energy::json_or_null(total.value);
  number["provenance"] = energy::to_text(total.provenance);
  if (total.range) number["range"] = energy::to_json(total.range);
  if (!total.marks.empty()) number["marks"] = total.marks;
  number[total.value.has_value() ? "help" : "reason"] = total.basis;
  return number;
}

Json collect_models(const JournalView& journal, std::string_view baseline) {
  Models models;
  const Json given = object_at(journal.run_start, "models");
  std::vector<const Json*> served;
  for (const Json& step : journal.steps) {
    if (text_at(step, "event") != "step_end") continue;
    if (yields_model(step)) {
      Json& model = models.at(step_name(step));
      model["pass"] = text_at(step, "pass");
      add_statistics(step, model);
      add_description(step["output"], step_name(step),
                      model);  // last: sizes of the whole checkpoint, whatever a pass says of the
                               // part it changed
    } else if (describes_input(step)) {
      Json& model = models.at(step["from"][0].get<std::string>());
      if (is_served(step))
        served.push_back(&step);
      else
        add_statistics(step, model);
    }
  }
  // Where frugal's own forward computed an artifact, too, the numbers of its runtime count.
  for (const Json* step : served)
    add_statistics(*step, models.at((*step)["from"][0].get<std::string>()));
  for (Json& model : models.list) {
    const std::string name = text_at(model, "name");
    if (name == baseline) model["role"] = "baseline";
    if (given.contains(name)) add_description(given[name], "given", model);
  }
  describe_artifacts(journal, models);
  return models.list;
}

Json collect_columns(const Json& models, Table table) {
  std::map<std::string, Json> metrics;  // metric -> a number that has its unit and help
  for (const Json& model : models) {
    for (const auto& [metric, number] : model["cells"].items()) metrics.try_emplace(metric, number);
  }
  std::vector<std::string> names;
  for (const auto& [metric, number] : metrics) {
    const Look* look = look_of(metric);
    if (look == nullptr || !(table == Table::kModels ? look->of_models : look->of_served)) continue;
    names.push_back(metric);
  }
  std::stable_sort(names.begin(), names.end(),
                   [](const auto& a, const auto& b) { return rank_of(a) < rank_of(b); });
  Json columns = Json::array();
  for (const std::string& metric : names) {
    const Look& look = *look_of(metric);
    const std::string unit =
        look.unit.empty() ? text_at(metrics[metric], "unit") : std::string(look.unit);
    columns.push_back({{"key", metric},
                       {"title", title_of(metric, look)},
                       {"unit", unit},
                       {"help", text_at(metrics[metric], "help")},
                       {"better", look.direction > 0 ? "higher" : "lower"}});
  }
  return columns;
}

const Json* find_model(const Json& models, std::string_view name) {
  for (const Json& model : models) {
    if (model["name"].get_ref<const std::string&>() == name) return &model;
  }
  return nullptr;
}

const Json* find_number(const Json& model, std::string_view metric) {
  const auto found = model["cells"].find(std::string(metric));
  if (found == model["cells"].end() || (*found)["value"].is_null()) return nullptr;
  return &*found;
}

bool is_cost(std::string_view metric) {
  const size_t rank = rank_of(metric);
  return rank >= kFirstCost && rank < kLooks.size();
}

int better_direction(std::string_view metric) {
  const Look* look = look_of(metric);
  return look == nullptr ? 1 : look->direction;
}

}  // namespace frugal::report
