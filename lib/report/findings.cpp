#include "report/findings.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/text.h"
#include "report/access.h"
#include "report/architectures.h"
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

constexpr std::string_view kEnergy = "joules_per_million_tokens";

struct Candidate {
  const Json* row;
  const Json* model;
  double size_bytes;  // what to choose by
};

double size_of(const Json& model) {
  const Json* number = find_number(model, "weight_bytes");
  return number == nullptr ? std::numeric_limits<double>::infinity()
                           : (*number)["value"].get<double>();
}

// " at 12% of its bytes", and where the student's architecture is another one than the baseline's
// also what that saves: " and 0.41 times its architecture's joules per token (modelled)".
std::string savings(const Json& student, const Json* baseline, const Json& architectures) {
  if (baseline == nullptr) return "";
  std::vector<std::string> parts;
  const Json* size = find_number(student, "weight_bytes");
  const Json* full = find_number(*baseline, "weight_bytes");
  if (size != nullptr && full != nullptr && (*full)["value"].get<double>() > 0) {
    parts.push_back(absl::StrFormat("%.0f%% of its bytes", 100 * (*size)["value"].get<double>() /
                                                               (*full)["value"].get<double>()));
  }
  const bool other = of_other_architecture(student, *baseline);
  const Json* joules = other ? architecture_number(architectures, student, kEnergy) : nullptr;
  const Json* full_joules =
      other ? architecture_number(architectures, *baseline, kEnergy) : nullptr;
  if (joules != nullptr && full_joules != nullptr && (*full_joules)["value"].get<double>() > 0) {
    parts.push_back(
        absl::StrFormat("%.2f times its architecture's joules per token (%s)",
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
                   const Json& architectures, const std::string& baseline) {
  const std::string metric = text_at(claim, "metric");
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
                                 savings(*best.model, full, architectures), ".")},
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

Json verdict(const JournalView& journal, const Json& models, const Json& comparisons,
             const Json& architectures) {
  for (const Json& step : journal.steps) {
    if (text_at(step, "event") == "step_failed") {
      return {{"status", "failed"},
              {"sentence", str_cat("The run failed at step ", step_name(step), ".")},
              {"detail", text_at(step, "error")}};
    }
  }
  const Json* claim = claim_of(journal);
  const std::string baseline = baseline_of(journal);
  if (claim != nullptr) return claim_verdict(*claim, models, comparisons, architectures, baseline);
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
  constexpr const char* x_key = "weight_bytes";
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
  return {{"finding", finding},
          {"description",
           str_cat(y_key,
                   " against size; bars are 95% intervals, dominated models are pale, the dashed "
                   "line joins the rest.")},
          {"x", x_key},
          {"y", y_key},
          {"x_title", "bytes of the weights"},
          {"y_title", y_key},
          {"x_unit", "bytes"},
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

namespace {

// The name of a matrix without the number of its layer and what stands before it, so that the same
// matrix of every layer has one column: "model.layers.3.mlp.up_proj.weight" is "mlp.up_proj".
std::string within_layer(std::string name, int64_t layer) {
  constexpr std::string_view kSuffix = ".weight";
  if (name.ends_with(kSuffix)) name.resize(name.size() - kSuffix.size());
  const std::string number = str_cat(".", layer, ".");
  const size_t at = name.find(number);
  return at == std::string::npos ? name : name.substr(at + number.size());
}

// The last `count` components of a dotted name.
std::string last_components(std::string_view name, size_t count) {
  size_t at = name.size();
  for (; count > 0 && at != std::string_view::npos && at > 0; --count) at = name.rfind('.', at - 1);
  return std::string(at == std::string_view::npos || at == 0 ? name : name.substr(at + 1));
}

// The shortest ends of the names that tell them apart.
std::vector<std::string> short_labels(const std::vector<std::string>& names) {
  std::vector<std::string> labels;
  for (const std::string& name : names) {
    size_t count = 1;
    const auto is_shared = [&] {
      const std::string label = last_components(name, count);
      return std::count_if(names.begin(), names.end(), [&](const std::string& other) {
               return last_components(other, count) == label;
             }) > 1;
    };
    while (is_shared() && last_components(name, count) != name) ++count;
    labels.push_back(last_components(name, count));
  }
  return labels;
}

}  // namespace

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
      const int64_t layer = integer_at(row, "layer");
      const std::string matrix = within_layer(text_at(row, "matrix"), layer);
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
          if (integer_at(row, "layer") == layer &&
              within_layer(text_at(row, "matrix"), layer) == matrix)
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
    variants.push_back({{"name", step_name(step)},
                        {"matrices", short_labels(matrices)},
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
    const Json& rows = (*tables)["training_curve"];
    const auto has = [&](const char* key) {
      return std::any_of(rows.begin(), rows.end(),
                         [&](const Json& row) { return any_at(row, key).is_number(); });
    };
    // Held-out loss is a cross-entropy. A distillation's loss is a mixture on another scale: beside
    // the held-out curve stands the cross-entropy in it; where it has none, the divergence to the
    // teacher has a drawing of its own.
    const bool distills = has("divergence"), apart = distills && !has("cross_entropy");
    const char* key = apart ? "divergence" : distills ? "cross_entropy" : "loss";
    curves.push_back({{"step", step_name(step)},
                      {"key", key},
                      {"title", apart ? "divergence to the teacher" : "cross-entropy"},
                      {"held_out_apart", apart},
                      {"rows", rows}});
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
  return {
      {"finding", ends.empty() ? "Training loss by step"
                               : str_cat("Held-out loss ends with ", base::join(ends, ", "))},
      {"description",
       "Cross-entropy in nats per token, of training and held-out data in one unit; the mixture "
       "that a distillation descends on stands in the journal."},
      {"curves", curves}};
}

Json derived_figure(const JournalView& journal, const Json& architectures) {
  const auto site = journal.run_start.find("site");
  if (site == journal.run_start.end() || !site->is_object()) return nullptr;
  Json rows = Json::array();
  for (const Json& row : architectures) {
    const Json* joules = find_number(row, kEnergy);
    if (joules == nullptr) continue;
    rows.push_back({{"architecture", row["architecture"]}, {"joules", *joules}});
  }
  if (rows.empty()) return nullptr;
  const Json price = object_at(*site, "price");
  Json assumptions = Json::array();
  // An assumption that the site file does not make is null: the reader may make it, nobody else.
  const auto assume = [&](const char* key, std::string title, const Json& value, const Json& of) {
    assumptions.push_back(
        {{"key", key},
         {"title", std::move(title)},
         {"value", value.is_number() ? value : Json()},
         {"source", value.is_number() ? str_cat(text_at(of, "source"), ", ", integer_at(of, "year"))
                                      : "not in the site file"}});
  };
  const Json intensity = object_at(*site, "intensity");
  const Json pue = object_at(*site, "pue");
  assume("intensity", "grid, gCO2e/kWh", any_at(intensity, "grams_per_kwh"), intensity);
  assume("pue", "PUE", any_at(pue, "value"), pue);
  assume("price", str_cat("price per kWh, ", text_at(price, "currency", "any currency")),
         any_at(price, "per_kwh"), price);
  return {
      {"finding", str_cat("Carbon and cost of a million tokens at ",
                          text_at(*site, "name", "the assumed site"))},
      {"description",
       "Joules are of this run, of each architecture in frugal's own fp32 forward; grid, PUE and "
       "price are assumptions of the site file, and may be edited here."},
      {"joules_title", "J per 1M tokens"},
      {"currency", text_at(price, "currency", "in the currency of the price")},
      {"assumptions", assumptions},
      {"rows", rows}};
}

}  // namespace frugal::report
