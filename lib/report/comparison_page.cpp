// Tested by: tests/report/compare_runs_test.cpp
// A comparison of runs as CSV, page and text.
#include <string>
#include <vector>

#include "base/text.h"
#include "pass/table.h"
#include "report/access.h"
#include "report/compare_runs.h"
#include "report/findings.h"
#include "report/markup.h"
#include "report/page_parts.h"

namespace frugal::report {
namespace {

using base::Json;

std::string number_in_words(const Json& number, const std::string& unit) {
  const Json value = any_at(number, "value");
  if (!value.is_number()) return "–";
  const std::string provenance = text_at(number, "provenance", "measured");
  const char* mark = provenance == "measured" ? "" : provenance == "modelled" ? "~" : "?";
  return in_words(value.get<double>(), unit) + mark;
}

}  // namespace

std::string comparison_csv(const Json& comparison) {
  std::string csv = "run,model,engine,metric,value,low,high,unit,provenance,source,comparable\n";
  for (const Json& row : comparison["rows"]) {
    for (const Json& column : comparison["columns"]) {
      const Json number = object_at(object_at(row, "cells"), text_at(column, "key"));
      if (!any_at(number, "value").is_number()) continue;
      const std::vector<Json> fields = {row["run"],
                                        row["model"],
                                        row["engine"],
                                        column["key"],
                                        number["value"],
                                        any_at(number, "low"),
                                        any_at(number, "high"),
                                        any_at(number, "unit"),
                                        text_at(number, "provenance", "measured"),
                                        any_at(number, "source"),
                                        column["comparable"]};
      for (size_t i = 0; i < fields.size(); ++i) csv += (i ? "," : "") + csv_field(fields[i]);
      csv += "\n";
    }
  }
  return csv;
}

std::string render_comparison(const Json& comparison) {
  Json data = comparison;
  data["models"] = data["served"] = Json::array();  // what the page's parts color by
  return page_of(text_at(comparison, "name"), data, kCompareJs);
}

std::string comparison_text(const Json& comparison) {
  std::vector<std::string> header = {"run", "model", "engine"};
  std::vector<size_t> right;
  for (const Json& column : comparison["columns"]) {
    right.push_back(header.size());
    header.push_back(text_at(column, "title") +
                     (flag_at(column, "comparable", false) ? "" : " (!)"));
  }
  header.emplace_back("best use");
  pass::Table table(std::move(header));
  table.align_right(std::move(right));
  for (const Json& row : comparison["rows"]) {
    std::vector<std::string> line = {text_at(row, "run"), text_at(row, "model"),
                                     text_at(row, "engine")};
    for (const Json& column : comparison["columns"])
      line.push_back(number_in_words(object_at(object_at(row, "cells"), text_at(column, "key")),
                                     text_at(column, "unit")));
    line.push_back(text_at(row, "best_use"));
    table.row(std::move(line));
  }
  std::string text = table.text() + "\n";
  for (const Json& column : comparison["columns"]) {
    if (flag_at(column, "comparable", false)) continue;
    text += base::str_cat(
        "(!) ", text_at(column, "title"),
        " is not ranked, for it was obtained in different ways: ", text_at(column, "note"), "\n");
  }
  for (const Json& rule : comparison["rules"])
    text += base::str_cat(text_at(rule, "rule"), ": ", text_at(rule, "answer"), "\n");
  return text;
}

}  // namespace frugal::report
