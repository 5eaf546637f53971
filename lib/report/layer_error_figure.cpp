// The error map: matrices by layers, one drawing for each step that has errors.
// Tested by: tests/report/findings_test.cpp
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/text.h"
#include "report/access.h"
#include "report/findings.h"
#include "report/models.h"

namespace frugal::report {
namespace {

using base::Json;
using base::str_cat;

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
    bool known = false;  // rounding to nearest without text knows no errors of outputs
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
          known = true;
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
    if (!known) continue;
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

}  // namespace frugal::report
