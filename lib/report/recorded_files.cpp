// Tested by: tests/report/verify_test.cpp
#include "report/recorded_files.h"

#include <filesystem>
#include <set>

#include "base/text.h"
#include "report/access.h"
#include "report/models.h"

namespace frugal::report {
namespace {

namespace fs = std::filesystem;
using base::Json;
using base::str_cat;

// Links of a run folder lead into its cache, so only the words of a path can be looked at.
bool stays_inside(const fs::path& path) {
  if (path.empty() || path.is_absolute()) return false;
  for (const fs::path& part : path) {
    if (part == "..") return false;
  }
  return true;
}

std::string top_of(const std::string& path) { return path.substr(0, path.find('/')); }

class Collector {
 public:
  explicit Collector(const JournalView& journal) : journal_(journal) {}

  RecordedFiles collect() {
    of_start();
    for (const Json& step : journal_.steps) {
      if (text_at(step, "event") != "step_end") continue;
      output(step);
      items(step);
    }
    return std::move(out_);
  }

 private:
  void add(const fs::path& path, const Json& row, const std::string& by) {
    if (stays_inside(path))
      out_.files.push_back({path.generic_string(), text_at(row, "sha256"), by});
    else
      out_.problems.push_back(str_cat(by, ": '", path.string(), "' is no place in a run folder"));
  }

  void of_start() {
    const Json& start = journal_.run_start;
    if (start.contains("resolved_sha256"))
      add("pipeline.resolved.yaml", {{"sha256", start["resolved_sha256"]}}, "pipeline");
    else
      out_.unrecorded.emplace_back("pipeline.resolved.yaml");
    for (const Json& factor : list_at(start, "factors"))
      add(text_at(factor, "path"), factor, text_at(factor, "kind"));
    if (any_at(start, "site").is_object() && !start.contains("factors"))
      out_.unrecorded.emplace_back("the site file and the profiles of hardware");
  }

  void output(const Json& step) {
    const Json output = object_at(step, "output");
    if (output.empty()) return;
    const Json links = list_at(output, "artifacts");
    const Json exported = list_at(object_at(step, "tables"), "files");
    const Json rows = exported.empty() ? list_at(output, "files") : exported;
    if (rows.empty()) {
      out_.unrecorded.push_back(str_cat("the files of ", step_name(step)));
    } else if (text_at(output, "kind") == "checkpoint") {
      const fs::path folder = text_at(output, "path");
      for (const Json& row : rows) add(folder / text_at(row, "path"), row, step_name(step));
      out_.folders.push_back(folder.generic_string());
    } else {
      artifacts(step, rows, links);
    }
  }

  // The run folder links each top entry of a step's output under artifacts/, in their order.
  void artifacts(const Json& step, const Json& rows, const Json& links) {
    std::set<std::string> tops, folders;
    for (const Json& row : rows) tops.insert(top_of(text_at(row, "path")));
    if (tops.size() != links.size()) {
      out_.problems.push_back(str_cat(step_name(step), ": ", tops.size(), " artifacts, and ",
                                      links.size(), " places of them in the record"));
      return;
    }
    for (const Json& link : links) {
      if (link.is_string()) continue;
      out_.problems.push_back(
          str_cat(step_name(step), ": ", link.dump(), " is no place of an artifact"));
      return;
    }
    for (const Json& row : rows) {
      const std::string path = text_at(row, "path"), top = top_of(path);
      const auto index = static_cast<size_t>(std::distance(tops.begin(), tops.find(top)));
      const std::string link = links[index].get<std::string>();
      if (path != top) folders.insert(link);
      add(path == top ? fs::path(link) : fs::path(link) / path.substr(top.size() + 1), row,
          step_name(step));
    }
    out_.folders.insert(out_.folders.end(), folders.begin(), folders.end());
  }

  void items(const Json& step) {
    const fs::path folder = fs::path("items") / step_name(step);
    if (!step.contains("items")) {
      out_.unrecorded.push_back(str_cat("the items of ", step_name(step)));
      return;
    }
    for (const Json& row : list_at(step, "items"))
      add(folder / text_at(row, "path"), row, step_name(step));
    out_.folders.push_back(folder.generic_string());
  }

  const JournalView& journal_;
  RecordedFiles out_;
};

}  // namespace

RecordedFiles recorded_files(const JournalView& journal) { return Collector(journal).collect(); }

}  // namespace frugal::report
