#include "base/text.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "report/access.h"
#include "report/energy_comparison.h"
#include "report/findings.h"
#include "report/markup.h"
#include "report/models.h"
#include "report/report.h"
#include "report/served.h"

namespace frugal::report {

namespace {

using base::Json;

// Width of UTF-8 text in columns, as far as our own texts need it: code points.
size_t columns_of(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string cell_text(const Json& model, const Json& column) {
  const Json* number = find_number(model, column["key"].get<std::string>());
  if (number == nullptr) return "–";
  const std::string unit = text_at(column, "unit");
  std::string text = in_words((*number)["value"].get<double>(), unit);
  const bool has_interval =
      number->contains("low") && (*number)["low"].is_number() && (*number)["high"].is_number();
  if (has_interval) {
    const double half = ((*number)["high"].get<double>() - (*number)["low"].get<double>()) / 2;
    text += base::str_cat(" ±", in_words(half, unit));
  }
  const std::string provenance = text_at(*number, "provenance", "measured");
  if (provenance != "measured") text += provenance == "modelled" ? "~" : "?";
  if (!list_at(*number, "marks").empty()) text += "*";
  return text;
}

std::vector<std::string> wrap(std::string_view text, size_t width) {
  std::vector<std::string> lines(1);
  for (const std::string& word : base::split(text, ' ')) {
    if (!lines.back().empty() && columns_of(lines.back()) + 1 + columns_of(word) > width)
      lines.emplace_back();
    lines.back() += lines.back().empty() ? word : base::str_cat(" ", word);
  }
  return lines;
}

void add_row(std::string& text, const std::vector<std::string>& cells,
             const std::vector<size_t>& widths) {
  for (size_t i = 0; i < cells.size(); ++i) {
    const std::string padding(widths[i] - columns_of(cells[i]), ' ');
    text += i == 0 ? cells[i] + padding : "  " + padding + cells[i];
  }
  text += "\n";
}

}  // namespace

std::string render_csv(const Json& report) {
  std::string csv = "model,metric,value,low,high,confidence,n,unit,provenance,source\n";
  for (const Json& model : report["models"]) {
    for (const auto& [metric, number] : model["cells"].items()) {
      csv += base::str_cat(csv_field(model["name"]), ",", csv_field(metric));
      for (const char* key :
           {"value", "low", "high", "confidence", "n", "unit", "provenance", "source"}) {
        csv += base::str_cat(",", csv_field(any_at(number, key)));
      }
      csv += "\n";
    }
  }
  return csv;
}

namespace {

// One table: `name` of a row, then as many columns as fit; the others stay on the page.
std::string table_text(const std::vector<std::string>& heads, const Json& rows,
                       const std::vector<std::vector<std::string>>& names, const Json& columns,
                       size_t room) {
  std::vector<std::vector<std::string>> lines(1, heads);
  for (const Json& column : columns) lines[0].push_back(text_at(column, "title"));
  for (size_t i = 0; i < rows.size(); ++i) {
    std::vector<std::string> line = names[i];
    for (const Json& column : columns) line.push_back(cell_text(rows[i], column));
    lines.push_back(std::move(line));
  }
  std::vector<size_t> widths;
  size_t total = 0;
  for (size_t i = 0; i < lines[0].size(); ++i) {
    size_t widest = 0;
    for (const auto& line : lines) widest = std::max(widest, columns_of(line[i]));
    if (i > 0 && total + widest + 2 > room) break;
    widths.push_back(widest);
    total += widest + 2;
  }
  std::string text;
  for (auto& line : lines) {
    line.resize(widths.size());
    add_row(text, line, widths);
  }
  return text;
}

// Size, what is best known of quality, what serving takes, the rest: those behind may not fit.
Json by_weight(const Json& columns) {
  Json sorted = Json::array();
  const auto add = [&](bool cost, size_t from, size_t to) {
    for (size_t i = from; i < std::min(to, columns.size()); ++i) {
      if (is_cost(text_at(columns[i], "key")) == cost) sorted.push_back(columns[i]);
    }
  };
  add(false, 0, 2);
  add(true, 0, columns.size());
  add(false, 2, columns.size());
  return sorted;
}

std::string served_text(const Json& figure, size_t room) {
  std::vector<std::vector<std::string>> names;
  for (const Json& row : figure["rows"])
    names.push_back(
        {base::str_cat(text_at(row, "label"), " (", text_at(row, "runtime", "not served"), ")")});
  return table_text({"artifact (runtime)"}, figure["rows"], names, by_weight(figure["columns"]),
                    room) +
         "\n";
}

// Of the models that the table of artifacts does not have already.
std::string models_text(const Json& report, size_t room) {
  Json rows = Json::array();
  std::vector<std::vector<std::string>> names;
  for (const Json& model : report["models"]) {
    if (find_served(report["served"], text_at(model, "name"), "") != nullptr) continue;
    names.push_back({text_at(model, "name")});
    rows.push_back(model);
  }
  return rows.empty() ? "" : table_text({"model"}, rows, names, report["columns"], room);
}

// The verdict and what it is about, as the page's head has them.
std::string verdict_text(const Json& verdict, size_t room) {
  std::string text;
  for (const char* part : {"sentence", "detail"}) {
    for (const std::string& line : wrap(text_at(verdict, part), room)) text += line + "\n";
  }
  const Json about = object_at(verdict, "about");
  if (about.empty()) return text;
  for (const char* key : {"artifact", "runtime", "machine"})
    text += absl::StrFormat("  %-8s  %s\n", key, text_at(about, key));
  return text;
}

// Who saves energy against its reference, and who does not.
std::string comparison_text(const Json& report, size_t room) {
  std::string text;
  for (const std::string& sentence :
       energy_comparison_lines(any_at(object_at(report, "figures"), "energy_comparison"))) {
    for (const std::string& line : wrap(sentence, room)) text += line + "\n";
  }
  return text.empty() ? text : "\n" + text;
}

}  // namespace

std::string render_text(const Json& report, int width) {
  const auto room = static_cast<size_t>(std::max(width, 40));
  std::string text;
  const Json served = object_at(report["figures"], "served");
  if (!served.empty()) text += served_text(served, room);
  text += models_text(report, room);
  if (text_at(report["verdict"], "status") != "no_claim")
    text += "\n" + verdict_text(report["verdict"], room);
  text += comparison_text(report, room);
  if (text.find('~') != std::string::npos) text += "~ modelled, not measured\n";
  if (text.find('*') != std::string::npos) text += "* less sure; the page says why\n";
  return text;
}

}  // namespace frugal::report
