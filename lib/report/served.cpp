#include "report/served.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/text.h"
#include "report/access.h"
#include "report/claim.h"
#include "report/metered.h"
#include "report/models.h"

namespace frugal::report {
namespace {

using base::Json;
using base::str_cat;

// What an export step was made from; "" of anything else.
std::string exported_from(const JournalView& journal, const std::string& name) {
  for (const Json& step : journal.steps) {
    if (text_at(step, "pass") != "export" || step_name(step) != name) continue;
    const Json from = list_at(step, "from");
    if (!from.empty() && from[0].is_string()) return from[0].get<std::string>();
  }
  return "";
}

// Of an artifact beside which its step wrote others, its own files; else what the model is said to
// have.
Json artifact_size(const JournalView& journal, const Json& models, const std::string& name,
                   const std::string& file) {
  for (const Json& step : journal.steps) {
    if (text_at(step, "pass") != "export" || step_name(step) != name) continue;
    const Json tables = object_at(step, "tables");
    if (list_at(tables, "artifacts").size() < 2) break;
    int64_t bytes = 0;
    for (const Json& one : list_at(tables, "files")) {
      const std::string path = text_at(one, "path");
      if (path == file || path.starts_with(file + "/")) bytes += integer_at(one, "bytes");
    }
    if (bytes > 0) return {{"value", bytes}, {"provenance", "measured"}, {"source", name}};
  }
  const Json* model = find_model(models, name);
  const Json* size = model == nullptr ? nullptr : find_number(*model, "weight_bytes");
  return size == nullptr ? Json() : *size;
}

Json new_row(const JournalView& journal, const Json& models, const std::string& name,
             const Json& step, std::string_view baseline) {
  const std::string made_of = exported_from(journal, name);
  const bool is_baseline = !baseline.empty() && (name == baseline || made_of == baseline);
  const Json runtime = step["tables"]["runtime"][0];
  const std::string file = text_at(runtime, "artifact");
  // Commands call the model that they are given "input": its file says more.
  Json row = {{"label", name == "input" && !file.empty() ? file : name},
              {"model", name},
              {"role", is_baseline ? "baseline" : "student"},
              {"engine", engine_of(step)},
              {"runtime", text_at(runtime, "runtime")},
              {"format", text_at(runtime, "format")},
              {"file", file},
              {"cells", Json::object()}};
  const Json size = artifact_size(journal, models, name, file);
  if (!size.is_null()) row["cells"]["weight_bytes"] = size;
  return row;
}

void tell_apart(Json& rows) {
  const auto shared = [&](const Json& row, const char* key) {
    return std::count_if(rows.begin(), rows.end(), [&](const Json& other) {
             return other["model"] == row["model"] && other[key] == row[key];
           }) > 1;
  };
  std::vector<std::string> labels;
  for (const Json& row : rows) {
    const std::string name = text_at(row, "label");
    labels.push_back(!shared(row, "role")      ? name
                     : !shared(row, "runtime") ? str_cat(name, " in ", text_at(row, "runtime"))
                                               : str_cat(name, " in ", text_at(row, "engine")));
  }
  for (size_t i = 0; i < labels.size(); ++i) rows[i]["label"] = labels[i];
}

// "a", "a and b", "a, b and 3 others".
std::string listed(const std::vector<std::string>& names) {
  if (names.size() == 1) return names[0];
  if (names.size() == 2) return str_cat(names[0], " and ", names[1]);
  return str_cat(names[0], ", ", names[1], " and ", names.size() - 2,
                 names.size() == 3 ? " other" : " others");
}

// Who takes the fewest joules for a response, and who may take as few.
std::string served_finding(const Json& rows) {
  const Json* least = nullptr;
  for (const Json& row : rows) {
    const Json* joules = find_number(row, kResponseEnergy);
    if (joules != nullptr &&
        (least == nullptr ||
         number_at(*joules, "value") < number_at(*find_number(*least, kResponseEnergy), "value")))
      least = &row;
  }
  const auto count = static_cast<int64_t>(rows.size());
  if (least == nullptr) {
    return count == 1 ? str_cat(text_at(rows[0], "label"), " in ", text_at(rows[0], "runtime"))
                      : str_cat(count, " artifacts in the runtimes that serve them");
  }
  std::vector<std::string> alike;
  for (const Json& row : rows) {
    const Json* joules = find_number(row, kResponseEnergy);
    if (&row != least && joules != nullptr &&
        told_apart(*find_number(*least, kResponseEnergy), *joules, -1) == 0)
      alike.push_back(text_at(row, "label"));
  }
  const Json& fewest = *find_number(*least, kResponseEnergy);
  std::string finding =
      str_cat(text_at(*least, "label"), " takes ",
              absl::StrFormat("%.3g J", number_at(fewest, "value")), " for a response");
  if (count == 1) return finding;
  finding += alike.empty() ? ", the fewest of all" : ", not told apart from " + listed(alike);
  return finding;
}

}  // namespace

Json collect_served(const JournalView& journal, const Json& models, std::string_view baseline) {
  Json rows = Json::array();
  for (const Json& step : journal.steps) {
    const Json from = list_at(step, "from");
    if (!is_served(step) || from.empty() || !from[0].is_string()) continue;
    const std::string name = from[0].get<std::string>();
    const std::string engine = engine_of(step);
    auto row = std::find_if(rows.begin(), rows.end(), [&](const Json& known) {
      return text_at(known, "model") == name && text_at(known, "engine") == engine;
    });
    if (row == rows.end()) {
      rows.push_back(new_row(journal, models, name, step, baseline));
      row = std::prev(rows.end());
    }
    (*row)["cells"].update(step_numbers(step));
  }
  tell_apart(rows);
  return rows;
}

Json served_figure(const Json& served, const Json& models, std::string_view baseline) {
  if (served.empty()) return nullptr;
  Json rows = served;
  const bool has_baseline = std::any_of(
      rows.begin(), rows.end(), [](const Json& row) { return text_at(row, "role") == "baseline"; });
  const Json* reference = has_baseline ? nullptr : find_model(models, baseline);
  if (reference != nullptr) {
    Json cells = Json::object();  // its joules are of another runtime: no row to hold beside
    for (const Json& column : collect_columns(Json::array({*reference}), Table::kServed)) {
      const std::string key = text_at(column, "key");
      if (!is_cost(key)) cells[key] = (*reference)["cells"][key];
    }
    rows.insert(rows.begin(), Json{{"label", baseline},
                                   {"model", baseline},
                                   {"role", "baseline"},
                                   {"engine", "frugal's fp32 forward, not served"},
                                   {"cells", cells}});
  }
  const Json columns = collect_columns(rows, Table::kServed);
  for (Json& row : rows) {
    Json cells = Json::object();
    for (const Json& column : columns) {
      const std::string key = text_at(column, "key");
      if (row["cells"].contains(key)) cells[key] = row["cells"][key];
    }
    row["cells"] = std::move(cells);
  }
  return {{"finding", served_finding(served)},
          {"description",
           "Each artifact as its runtime serves it: quality and energy of the file that is "
           "shipped. A response is one request, its prompt read and its tokens generated. Values "
           "with 95% intervals; a dash is unknown, never zero."},
          {"columns", columns},
          {"rows", rows}};
}

const Json* served_baseline(const Json& served, const Json& row) {
  for (const Json& other : served) {
    if (text_at(other, "role") == "baseline" && text_at(other, "engine") == text_at(row, "engine"))
      return &other;
  }
  return nullptr;
}

const Json* find_served(const Json& served, std::string_view model, std::string_view engine) {
  for (const Json& row : served) {
    if (text_at(row, "model") == model && (engine.empty() || text_at(row, "engine") == engine))
      return &row;
  }
  return nullptr;
}

}  // namespace frugal::report
