#include "base/text.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/file.h"
#include "report/access.h"
#include "report/card.h"
#include "report/drawings.h"
#include "report/energy_comparison.h"
#include "report/findings.h"
#include "report/models.h"
#include "report/report.h"

namespace frugal::report {

namespace {

using base::Json;

std::string csv_field(const Json& value) {
  if (value.is_null()) return "";
  std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

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

std::string render_text(const Json& report, int width) {
  std::vector<std::vector<std::string>> rows(1, {"model"});
  const auto room = static_cast<size_t>(std::max(width, 40));
  std::vector<const Json*> shown;
  for (const Json& column : report["columns"]) {
    shown.push_back(&column);
    rows[0].push_back(column["title"].get<std::string>());
  }
  for (const Json& model : report["models"]) {
    std::vector<std::string> row = {model["name"].get<std::string>()};
    for (const Json* column : shown) row.push_back(cell_text(model, *column));
    rows.push_back(std::move(row));
  }
  std::vector<size_t> widths;
  size_t total = 0;
  for (size_t i = 0; i < rows[0].size(); ++i) {  // columns that no longer fit stay on the page
    size_t widest = 0;
    for (const auto& row : rows) widest = std::max(widest, columns_of(row[i]));
    if (i > 0 && total + widest + 2 > room) break;
    widths.push_back(widest);
    total += widest + 2;
  }
  std::string text;
  for (auto& row : rows) {
    row.resize(widths.size());
    add_row(text, row, widths);
  }
  if (text_at(report["verdict"], "status") != "no_claim") {
    text += "\n";
    for (const std::string& line : wrap(text_at(report["verdict"], "sentence"), room))
      text += line + "\n";
    for (const std::string& line : wrap(text_at(report["verdict"], "detail"), room))
      text += line + "\n";
  }
  const std::vector<std::string> compared =
      energy_comparison_lines(any_at(object_at(report, "figures"), "energy_comparison"));
  if (!compared.empty()) text += "\n";
  for (const std::string& sentence : compared) {
    for (const std::string& line : wrap(sentence, room)) text += line + "\n";
  }
  if (text.find('~') != std::string::npos) text += "~ modelled, not measured\n";
  return text;
}

namespace {

Drawings drawings_of(const Json& report) {
  return {report.dump(1, ' ', false, Json::error_handler_t::replace) + "\n", render_csv(report),
          render_page(report)};
}

}  // namespace

absl::StatusOr<Drawings> draw(const JournalView& journal) {
  FRUGAL_ASSIGN_OR_RETURN(const Json report, summarize(journal));
  return drawings_of(report);
}

absl::Status write_report(const std::filesystem::path& run_folder) {
  FRUGAL_ASSIGN_OR_RETURN(const JournalView journal, read_journal(run_folder / "journal.jsonl"));
  FRUGAL_ASSIGN_OR_RETURN(const Json report, summarize(journal));
  const Drawings drawings = drawings_of(report);
  FRUGAL_RETURN_IF_ERROR(base::write_file_atomically(run_folder / "report.json", drawings.json));
  FRUGAL_RETURN_IF_ERROR(base::write_file_atomically(run_folder / "report.csv", drawings.csv));
  FRUGAL_RETURN_IF_ERROR(base::write_file_atomically(run_folder / "report.html", drawings.html));
  return write_cards(run_folder, journal, report);
}

}  // namespace frugal::report
