#include <set>
#include <string>
#include <string_view>

#include "report/access.h"
#include "report/page_parts.h"
#include "report/report.h"

namespace frugal::report {

namespace {

// Text that is safe inside a <script> element: "</" can end one and "<!--" changes how it is read.
std::string script_safe(std::string text) {
  for (size_t at = text.find('<'); at != std::string::npos; at = text.find('<', at + 1))
    text.replace(at, 1, "\\u003c");
  return text;
}

std::string html_escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

// The skeleton with each @NAME@ replaced, in one walk: inserted text is never searched again.
std::string fill(std::string_view skeleton,
                 const std::vector<std::pair<std::string_view, std::string>>& parts) {
  std::string page;
  while (!skeleton.empty()) {
    size_t first = std::string_view::npos;
    const std::pair<std::string_view, std::string>* next = nullptr;
    for (const auto& part : parts) {
      const size_t at = skeleton.find(part.first);
      if (at < first) {
        first = at;
        next = &part;
      }
    }
    if (next == nullptr) break;
    page += skeleton.substr(0, first);
    page += next->second;
    skeleton.remove_prefix(first + next->first.size());
  }
  page += skeleton;
  return page;
}

// What the page shows of the report: report.json has every number of a model, the page those of its
// columns; it stays small with many models.
base::Json page_report(base::Json report) {
  std::set<std::string> columns;
  for (const base::Json& column : list_at(report, "columns"))
    columns.insert(text_at(column, "key"));
  for (base::Json& model : report["models"]) {
    base::Json cells = base::Json::object();
    for (const auto& [metric, number] : model["cells"].items()) {
      if (columns.contains(metric)) cells[metric] = number;
    }
    model["cells"] = std::move(cells);
  }
  for (base::Json& row : report["served"]) row.erase("cells");  // they stand in its figure
  return report;
}

}  // namespace

std::string page_of(std::string_view title, const base::Json& data, std::string_view script) {
  return fill(
      kPageHtml,
      {{"@TITLE@", html_escaped(title)},
       {"@STYLE@", std::string(kPageCss)},
       {"@DATA@", script_safe(data.dump(-1, ' ', true, base::Json::error_handler_t::replace))},
       {"@SCRIPT@", std::string(script)}});
}

std::string render_page(const base::Json& report) {
  return page_of(base::str_cat(text_at(report, "name", "frugal"), " · frugal report"),
                 page_report(report), kPageJs);
}

}  // namespace frugal::report
