#include "report/architectures.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <vector>

#include "base/text.h"
#include "energy/provenance.h"
#include "report/access.h"
#include "report/claim.h"
#include "report/metered.h"
#include "report/models.h"

namespace frugal::report {
namespace {

using base::Json;

struct Column {
  const char* metric;
  const char* title;  // nullptr: not in the table
};
// What the measure pass calls its headline numbers, and the parts of a request.
constexpr std::array kColumns = {Column{"joules_per_million_tokens", "J per 1M tokens"},
                                 Column{"joules_per_request", "J per response"},
                                 Column{"tokens_per_second", "tokens/s"},
                                 Column{"prefill_joules_per_request", nullptr},
                                 Column{"decode_joules_per_request", nullptr},
                                 Column{"idle_joules_per_request", nullptr}};

std::string architecture_of(const Json& model) {
  return text_at(model, "architecture", text_at(model, "name"));
}

std::string weakest(const std::string& a, const std::string& b) {
  const auto first = energy::parse_provenance(a), second = energy::parse_provenance(b);
  if (!first.ok() || !second.ok()) return "assumed";
  return std::string(energy::to_text(energy::weakest(*first, *second)));
}

// Of the mean: ranges of one model of the meter move together. A number without one is a point.
std::optional<energy::Range> mean_range(const std::vector<Json>& numbers) {
  energy::Range sum;
  bool known = false;
  for (const Json& number : numbers) {
    const Json range = object_at(number, "range");
    known = known || !range.empty();
    sum.low += number_at(range, "low", number_at(number, "value"));
    sum.high += number_at(range, "high", number_at(number, "value"));
  }
  if (!known) return std::nullopt;
  return energy::scaled(sum, 1 / static_cast<double>(numbers.size()));
}

// The mean of several models' numbers. Unknown where one of them is: a mean over the others would
// be of fewer models than it is called by.
Json pooled(const std::vector<Json>& numbers) {
  Json out = numbers[0];
  if (numbers.size() == 1) return out;
  double sum = 0;
  std::vector<std::string> marks;
  std::optional<double> low, high;
  int64_t count = 0;
  bool bounded = true;
  std::vector<std::string> sources;
  for (const Json& number : numbers) {
    if (!any_at(number, "value").is_number()) return number;
    sum += number_at(number, "value");
    count += integer_at(number, "n");
    out["provenance"] =
        weakest(text_at(out, "provenance", "measured"), text_at(number, "provenance", "measured"));
    sources.push_back(text_at(number, "source"));
    for (const Json& mark : list_at(number, "marks")) {
      if (mark.is_string()) energy::add_mark(mark.get<std::string>(), &marks);
    }
    bounded = bounded && any_at(number, "low").is_number() && any_at(number, "high").is_number();
    if (!bounded) continue;
    low = std::min(low.value_or(number_at(number, "low")), number_at(number, "low"));
    high = std::max(high.value_or(number_at(number, "high")), number_at(number, "high"));
  }
  for (const char* key : {"low", "high", "confidence", "method", "range"}) out.erase(key);
  if (const auto range = mean_range(numbers)) out["range"] = energy::to_json(range);
  out["value"] = sum / static_cast<double>(numbers.size());
  out["n"] = count;
  if (!marks.empty()) out["marks"] = marks;
  out["source"] = base::join(sources, ", ");
  if (bounded) {
    out["low"] = *low;
    out["high"] = *high;
    out["confidence"] = number_at(numbers[0], "confidence", 0.95);
    out["method"] = base::str_cat("reaches over the intervals of ", numbers.size(), " models");
  }
  return out;
}

}  // namespace

Json collect_architectures(const JournalView& journal, const Json& models) {
  struct Group {
    std::string architecture;
    std::vector<std::string> models;
    std::array<std::vector<Json>, kColumns.size()> numbers;
  };
  std::vector<Group> groups;
  for (const Json& step : journal.steps) {
    const Json from = list_at(step, "from");
    if (text_at(step, "pass") != "measure" || is_served(step) || from.empty() ||
        !from[0].is_string())
      continue;
    const Json* model = find_model(models, from[0].get<std::string>());
    if (model == nullptr) continue;
    const std::string architecture = architecture_of(*model);
    auto group = std::find_if(groups.begin(), groups.end(), [&](const Group& known) {
      return known.architecture == architecture;
    });
    if (group == groups.end()) group = groups.insert(group, Group{architecture, {}, {}});
    group->models.push_back(text_at(*model, "name"));
    const Json numbers = step_numbers(step);
    for (size_t i = 0; i < kColumns.size(); ++i) {
      const auto number = numbers.find(kColumns[i].metric);
      if (number != numbers.end()) group->numbers[i].push_back(*number);
    }
  }
  Json out = Json::array();
  for (const Group& group : groups) {
    Json cells = Json::object();
    for (size_t i = 0; i < kColumns.size(); ++i) {
      if (!group.numbers[i].empty()) cells[kColumns[i].metric] = pooled(group.numbers[i]);
    }
    out.push_back(
        {{"architecture", group.architecture}, {"models", group.models}, {"cells", cells}});
  }
  return out;
}

Json architectures_figure(const Json& architectures) {
  Json columns = Json::array();
  for (const Column& column : kColumns) {
    if (column.title == nullptr) continue;
    const bool known =
        std::any_of(architectures.begin(), architectures.end(),
                    [&](const Json& row) { return row["cells"].contains(column.metric); });
    if (known) columns.push_back({{"key", column.metric}, {"title", column.title}, {"unit", ""}});
  }
  if (columns.empty()) return nullptr;
  const size_t count = architectures.size();
  const Json* joules = find_number(architectures[0], kEnergy);
  std::string finding = base::str_cat("Frugal's own fp32 forward in ", count, " architectures");
  if (count == 1) finding = "Frugal's own fp32 forward of this architecture";
  if (count == 1 && joules != nullptr) {
    finding = base::str_cat("Frugal's own fp32 forward takes ",
                            base::format_count(std::llround(number_at(*joules, "value"))),
                            " J for a million tokens, whatever the grid");
  }
  return {
      {"finding", finding},
      {"description",
       "Not a runtime that anything is served in: it depends on the architecture and not on the "
       "grid of the weights, so models of one architecture share one number, and none is ranked by "
       "it. What a grid saves shows in the runtime that reads it."},
      {"columns", columns},
      {"rows", architectures}};
}

const Json* architecture_number(const Json& architectures, const Json& model,
                                std::string_view metric) {
  for (const Json& row : architectures) {
    if (text_at(row, "architecture") == architecture_of(model)) return find_number(row, metric);
  }
  return nullptr;
}

bool of_other_architecture(const Json& a, const Json& b) {
  const std::string first = text_at(a, "architecture"), second = text_at(b, "architecture");
  return !first.empty() && !second.empty() && first != second;
}

Json mean_number(const std::vector<Json>& numbers) { return pooled(numbers); }

}  // namespace frugal::report
