#include "report/findings.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/text.h"
#include "report/access.h"
#include "report/models.h"

namespace frugal::report {

namespace {

using base::Json;
using base::str_cat;

bool is_share(std::string_view metric) {
  return base::glob_match("*/accuracy", metric) || base::glob_match("*/coverage", metric) ||
         base::glob_match("*/macro_f1", metric) || metric == "kld/same_top";
}

// A difference of a metric: shares in points.
std::string difference_in_words(double difference, std::string_view metric) {
  if (is_share(metric)) return absl::StrFormat("%+.1f points", 100 * difference);
  return absl::StrFormat("%+.4g", difference);
}

const Json* claim_of(const JournalView& journal) {
  const auto report = journal.run_start.find("report");
  if (report == journal.run_start.end() || !report->is_object()) return nullptr;
  const auto claim = report->find("claim");
  return claim == report->end() || !claim->is_object() ? nullptr : &*claim;
}

std::string baseline_of(const JournalView& journal) {
  return text_at(object_at(journal.run_start, "report"), "baseline");
}

// Energy metric of the models: the first of these that is known.
std::optional<std::string> energy_metric(const Json& models) {
  for (const Json& model : models) {
    for (const auto& [metric, number] : model["cells"].items()) {
      if (base::glob_match("*joules_per_million_tokens", metric) && !number["value"].is_null())
        return metric;
    }
  }
  for (const Json& model : models) {
    for (const auto& [metric, number] : model["cells"].items()) {
      if (base::glob_match("*joules_per_token", metric) && !number["value"].is_null())
        return metric;
    }
  }
  return std::nullopt;
}

struct Candidate {
  const Json* row;
  const Json* model;
  double size_bytes;  // the exact number to choose by: joules of models that are near each other
                      // differ by noise
};

double size_of(const Json& model) {
  const Json* number = find_number(model, "weight_bytes");
  return number == nullptr ? std::numeric_limits<double>::infinity()
                           : (*number)["value"].get<double>();
}

// "at 12% of the weights' bytes and 0.41 times the joules per token (modelled)".
std::string savings(const Json& student, const Json* baseline,
                    const std::optional<std::string>& energy) {
  if (baseline == nullptr) return "";
  std::vector<std::string> parts;
  const Json* size = find_number(student, "weight_bytes");
  const Json* full = find_number(*baseline, "weight_bytes");
  if (size != nullptr && full != nullptr && (*full)["value"].get<double>() > 0) {
    parts.push_back(absl::StrFormat("%.0f%% of its bytes", 100 * (*size)["value"].get<double>() /
                                                               (*full)["value"].get<double>()));
  }
  const Json* joules = energy ? find_number(student, *energy) : nullptr;
  const Json* full_joules = energy ? find_number(*baseline, *energy) : nullptr;
  if (joules != nullptr && full_joules != nullptr && (*full_joules)["value"].get<double>() > 0) {
    parts.push_back(
        absl::StrFormat("%.2f times its joules per token (%s)",
                        (*joules)["value"].get<double>() / (*full_joules)["value"].get<double>(),
                        text_at(*joules, "provenance", "measured")));
  }
  return parts.empty() ? "" : str_cat(" at ", base::join(parts, " and "));
}

// Smaller first; of equal sizes the one that lost less.
bool smaller(const Candidate& a, const Candidate& b) {
  if (a.size_bytes != b.size_bytes) return a.size_bytes < b.size_bytes;
  return number_at(*a.row, "difference", -1e300) > number_at(*b.row, "difference", -1e300);
}

Json claim_verdict(const Json& claim, const Json& models, const Json& comparisons,
                   const std::string& baseline) {
  const std::string metric = text_at(claim, "metric");
  const auto energy = energy_metric(models);
  std::vector<Candidate> all;
  for (const Json& row : comparisons) {
    const Json* model = find_model(models, text_at(row, "model"));
    if (text_at(row, "metric") == metric && model != nullptr && text_at(row, "model") != baseline) {
      all.push_back({&row, model, size_of(*model)});
    }
  }
  if (all.empty()) {
    return {{"status", "not_shown"},
            {"sentence",
             str_cat("The claim about ", metric,
                     " was not tested: no evaluation compares a model with ", baseline, " on it.")},
            {"detail", ""}};
  }
  std::vector<Candidate> held;
  for (const Candidate& c : all) {
    if (text_at(*c.row, "verdict") == "claimed") held.push_back(c);
  }
  const bool kept = !held.empty();
  const std::vector<Candidate>& pool = kept ? held : all;
  const Candidate& best =
      kept ? *std::min_element(pool.begin(), pool.end(),
                               [](auto& a, auto& b) { return smaller(a, b); })
           : *std::max_element(pool.begin(), pool.end(), [](auto& a, auto& b) {
               return number_at(*a.row, "low", -1e300) < number_at(*b.row, "low", -1e300);
             });
  const std::string name = text_at(*best.row, "model");
  const std::string margin = is_share(metric)
                                 ? absl::StrFormat("%.1f points", 100 * number_at(claim, "margin"))
                                 : absl::StrFormat("%.4g", number_at(claim, "margin"));
  const std::string against =
      absl::StrFormat("%s, %.0f%% interval %s to %s, n = %d",
                      difference_in_words(number_at(*best.row, "difference", NAN), metric),
                      100 * number_at(*best.row, "confidence", 0.95),
                      difference_in_words(number_at(*best.row, "low", NAN), metric),
                      difference_in_words(number_at(*best.row, "high", NAN), metric),
                      static_cast<int64_t>(number_at(*best.row, "n", 0)));
  const Json* full = find_model(models, baseline);
  if (kept) {
    return {{"status", "kept"},
            {"sentence", str_cat(name, " keeps ", metric, " within ", margin, " of ", baseline,
                                 savings(*best.model, full, energy), ".")},
            {"detail", str_cat("Difference ", against, ". ", static_cast<int64_t>(held.size()),
                               " of ", static_cast<int64_t>(all.size()),
                               " compared models meet the claim, declared before anything ran.")}};
  }
  const std::string why = text_at(*best.row, "verdict");
  const bool too_few = why == "too few items";
  return {{"status", too_few ? "not_shown" : "lost"},
          {"sentence", str_cat("No model was shown to keep ", metric, " within ", margin, " of ",
                               baseline, too_few ? ": there are too few items to tell." : ".")},
          {"detail", str_cat("Nearest is ", name, ": difference ", against, ". ",
                             text_at(*best.row, "explanation"))}};
}

}  // namespace

std::string in_words(double value, std::string_view unit) {
  if (unit == "fraction") return absl::StrFormat("%.1f%%", 100 * value);
  if (unit == "bytes") return base::format_bytes(value);
  if (unit == "seconds") return base::format_duration(value);
  if (unit == "count") return base::format_count(static_cast<int64_t>(value));
  return absl::StrFormat("%.4g", value);
}

Json verdict(const JournalView& journal, const Json& models, const Json& comparisons) {
  for (const Json& step : journal.steps) {
    if (text_at(step, "event") == "step_failed") {
      return {{"status", "failed"},
              {"sentence", str_cat("The run failed at step ", step_name(step), ".")},
              {"detail", text_at(step, "error")}};
    }
  }
  const Json* claim = claim_of(journal);
  const std::string baseline = baseline_of(journal);
  if (claim != nullptr) return claim_verdict(*claim, models, comparisons, baseline);
  const auto count = static_cast<int64_t>(models.size());
  return {
      {"status", "no_claim"},
      {"sentence", str_cat("The run made and looked at ", count, count == 1 ? " model" : " models",
                           ", and declared no claim to test.")},
      {"detail",
       "Declare one under `report: claim:` in the pipeline, with a metric and a margin, before it "
       "runs."}};
}

Json collect_comparisons(const JournalView& journal) {
  Json rows = Json::array();
  for (const Json& step : journal.steps) {
    const auto tables = step.find("tables");
    if (tables == step.end() || !tables->is_object() || !tables->contains("comparison")) continue;
    for (Json row : (*tables)["comparison"]) {
      row["model"] = step["from"][0];
      row["source"] = step_name(step);
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

Json tradeoff_figure(const Json& models, std::string_view claimed_metric) {
  const auto energy = energy_metric(models);
  const std::string x_key = energy.value_or("weight_bytes");
  std::string y_key(claimed_metric);
  for (const std::string_view fallback : {"sentiment/accuracy", "perplexity", "kld/mean"}) {
    const bool known = std::any_of(models.begin(), models.end(), [&](const Json& m) {
      return !y_key.empty() && find_number(m, y_key) != nullptr;
    });
    if (!known) y_key = fallback;
  }
  const int direction = better_direction(y_key);
  Json points = Json::array();
  for (const Json& model : models) {
    const Json* x = find_number(model, x_key);
    const Json* y = find_number(model, y_key);
    if (x == nullptr || y == nullptr) continue;
    points.push_back({{"model", model["name"]},
                      {"role", model["role"]},
                      {"x", *x},
                      {"y", *y},
                      {"dominated", false}});
  }
  if (points.empty()) return nullptr;
  for (Json& point : points) {
    for (const Json& other : points) {
      const double dx = other["x"]["value"].get<double>() - point["x"]["value"].get<double>();
      const double dy =
          direction * (other["y"]["value"].get<double>() - point["y"]["value"].get<double>());
      if (dx <= 0 && dy >= 0 && (dx < 0 || dy > 0)) point["dominated"] = true;
    }
  }
  double low = std::numeric_limits<double>::infinity(), high = 0;
  Json front = Json::array();
  for (const Json& point : points) {
    low = std::min(low, point["x"]["value"].get<double>());
    high = std::max(high, point["x"]["value"].get<double>());
    if (!point["dominated"].get<bool>()) front.push_back(point["model"]);
  }
  std::vector<std::string> names = front.get<std::vector<std::string>>();
  if (names.size() > 3) names.resize(3);
  const std::string finding =
      front.size() == 1
          ? str_cat(names[0], " beats every other model on both axes")
          : str_cat(static_cast<int64_t>(front.size()), " of ", static_cast<int64_t>(points.size()),
                    " models are worth choosing between: ", base::join(names, ", "),
                    front.size() > 3 ? " and others" : "");
  const std::string x_title = energy ? "joules per token" : "bytes of the weights";
  return {
      {"finding", finding},
      {"description",
       str_cat(
           y_key, " against ", energy ? *energy : std::string("size"),
           "; bars are 95% intervals, dominated models are pale, the dashed line joins the rest.")},
      {"note",
       energy
           ? Json()
           : Json(
                 "Energy per token is unknown on this machine (no meter could be read while a "
                 "model ran), so "
                 "the horizontal axis shows size instead. `frugal doctor` tells what is missing.")},
      {"x", x_key},
      {"y", y_key},
      {"x_title", energy ? x_key : x_title},
      {"y_title", y_key},
      {"x_unit", energy ? "" : "bytes"},
      {"y_unit", is_share(y_key) ? "fraction" : ""},
      {"x_log", low > 0 && high / low > 8},
      {"points", points}};
}

Json comparison_figure(const JournalView& journal, const Json& comparisons) {
  const Json* claim = claim_of(journal);
  if (comparisons.empty()) return nullptr;
  const std::string metric =
      claim != nullptr ? text_at(*claim, "metric") : text_at(comparisons[0], "metric");
  Json rows = Json::array();
  int64_t different = 0;
  for (const Json& row : comparisons) {
    if (text_at(row, "metric") != metric || !row.contains("difference") ||
        row["difference"].is_null())
      continue;
    rows.push_back(row);
    if (number_at(row, "low", -1) > 0 || number_at(row, "high", 1) < 0) ++different;
  }
  const std::string finding =
      str_cat(different, " of ", static_cast<int64_t>(rows.size()), " models differ from ",
              baseline_of(journal), " on ", metric, " beyond chance");
  return {{"finding", finding},
          {"description",
           "Paired over the same items, with intervals; left of the dashed line is worse than the "
           "claim allows."},
          {"metric", metric},
          {"unit", is_share(metric) ? "fraction" : ""},
          {"direction", better_direction(metric)},
          {"margin", claim != nullptr && text_at(*claim, "kind", "absolute") == "absolute"
                         ? Json(number_at(*claim, "margin"))
                         : Json()},
          {"rows", rows},
          {"all", comparisons}};
}

Json steps_figure(const JournalView& journal) {
  Json rows = Json::array();
  double total = 0, longest = -1;
  std::string slowest;
  for (const Json& step : journal.steps) {
    const double seconds = number_at(step, "seconds", 0);
    total += seconds;
    if (seconds > longest) {
      longest = seconds;
      slowest = step_name(step);
    }
    rows.push_back({{"step", step_name(step)},
                    {"pass", text_at(step, "pass")},
                    {"cached", flag_at(step, "cached", false)},
                    {"seconds", seconds},
                    {"energy", energy_number(step)},
                    {"peak_memory_bytes", any_at(step, "peak_memory_bytes")}});
  }
  if (rows.empty()) return nullptr;
  const double share = total > 0 ? longest / total : 0;
  return {{"finding", absl::StrFormat("%s took %.0f%% of the %s that all steps took", slowest,
                                      100 * share, base::format_duration(total))},
          {"description",
           "Time and gross energy of each step; pale bars come from the cache and show what the "
           "result once cost."},
          {"rows", rows}};
}

Json layer_error_figure(const JournalView& journal) {
  Json variants = Json::array();
  double low = std::numeric_limits<double>::infinity(), high = 0, worst = 0;
  std::string where;
  for (const Json& step : journal.steps) {
    const auto tables = step.find("tables");
    if (tables == step.end() || !tables->is_object() || !tables->contains("layer_error")) continue;
    std::vector<std::string> matrices;
    std::vector<int64_t> layers;
    for (const Json& row : (*tables)["layer_error"]) {
      const std::string matrix = text_at(row, "matrix");
      const int64_t layer = integer_at(row, "layer");
      if (std::find(matrices.begin(), matrices.end(), matrix) == matrices.end())
        matrices.push_back(matrix);
      if (std::find(layers.begin(), layers.end(), layer) == layers.end()) layers.push_back(layer);
    }
    Json values = Json::array();
    for (const int64_t layer : layers) {
      Json line = Json::array();
      for (const std::string& matrix : matrices) {
        Json found;
        for (const Json& row : (*tables)["layer_error"]) {
          if (text_at(row, "matrix") == matrix && integer_at(row, "layer") == layer)
            found = any_at(row, "error_after");
        }
        if (found.is_number()) {
          const double error = found.get<double>();
          if (error > 0) low = std::min(low, error);
          high = std::max(high, error);
          if (error > worst) {
            worst = error;
            where = str_cat(step_name(step), ", layer ", layer, ", ", matrix);
          }
        }
        line.push_back(found);
      }
      values.push_back(line);
    }
    for (std::string& matrix : matrices)
      matrix = matrix.substr(matrix.rfind('.') == std::string::npos ? 0 : matrix.rfind('.') + 1);
    variants.push_back({{"name", step_name(step)},
                        {"matrices", matrices},
                        {"layers", layers},
                        {"values", values}});
  }
  if (variants.empty()) return nullptr;
  return {
      {"finding", absl::StrFormat("The largest layer error is %.2g%% (%s)", 100 * worst, where)},
      {"description",
       "Relative output error tr(ΔW·H·ΔWᵀ)/tr(W·H·Wᵀ) of each matrix after the step, on "
       "calibration text; one color "
       "scale (logarithmic) for all."},
      {"low", std::isfinite(low) ? low : 1e-9},
      {"high", high > 0 ? high : 1.0},
      {"variants", variants}};
}

Json training_figure(const JournalView& journal) {
  Json curves = Json::array();
  for (const Json& step : journal.steps) {
    const auto tables = step.find("tables");
    if (tables == step.end() || !tables->is_object() || !tables->contains("training_curve"))
      continue;
    curves.push_back({{"step", step_name(step)}, {"rows", (*tables)["training_curve"]}});
  }
  if (curves.empty()) return nullptr;
  std::vector<std::string> ends;
  for (const Json& curve : curves) {
    std::optional<double> last;
    for (const Json& row : curve["rows"]) {
      if (row.contains("validation_loss") && row["validation_loss"].is_number())
        last = row["validation_loss"].get<double>();
    }
    if (last)
      ends.push_back(absl::StrFormat("%s at %.3f", curve["step"].get<std::string>(), *last));
  }
  return {{"finding", ends.empty() ? "Training loss by step"
                                   : str_cat("Held-out loss ends with ", base::join(ends, ", "))},
          {"description",
           "Loss in nats per token (for distillation: the mixture that was trained on)."},
          {"curves", curves}};
}

Json derived_figure(const JournalView& journal, const Json& models) {
  const auto energy = energy_metric(models);
  const auto site = journal.run_start.find("site");
  if (!energy || site == journal.run_start.end() || !site->is_object()) return nullptr;
  Json rows = Json::array();
  const bool per_token = base::glob_match("*joules_per_token", *energy);
  for (const Json& model : models) {
    const Json* number = find_number(model, *energy);
    if (number == nullptr) continue;
    Json joules = *number;
    for (const char* key : {"value", "low", "high"}) {
      if (per_token && joules.contains(key) && joules[key].is_number())
        joules[key] = joules[key].get<double>() * 1e6;
    }
    rows.push_back({{"model", model["name"]}, {"joules", joules}});
  }
  const Json intensity = object_at(*site, "intensity");
  const Json pue = object_at(*site, "pue");
  Json assumptions = Json::array();
  const auto assume = [&](const char* key, std::string title, const Json& value, const Json& of) {
    if (!value.is_number()) return;
    assumptions.push_back(
        {{"key", key},
         {"title", std::move(title)},
         {"value", value},
         {"source", str_cat(text_at(of, "source"), ", ", integer_at(of, "year"))}});
  };
  assume("intensity", "grid, gCO2e/kWh", any_at(intensity, "grams_per_kwh"), intensity);
  assume("pue", "PUE", any_at(pue, "value"), pue);
  const Json price =
      site->contains("price") && (*site)["price"].is_object() ? (*site)["price"] : Json::object();
  assumptions.push_back(
      {{"key", "price"},
       {"title", str_cat("price per kWh, ", text_at(price, "currency", "any currency"))},
       {"value", number_at(price, "per_kwh")},
       {"source", text_at(price, "source", "not in the site file")}});
  return {{"finding", str_cat("Carbon and cost of a million tokens at ",
                              text_at(*site, "name", "the assumed site"))},
          {"description",
           "Joules are of this run; grid, PUE and price are assumptions of the site file, and may "
           "be edited here."},
          {"joules_title", "J per 1M tokens"},
          {"currency", text_at(price, "currency", "per kWh price")},
          {"assumptions", assumptions},
          {"rows", rows}};
}

}  // namespace frugal::report
