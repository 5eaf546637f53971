// The journal of a run as report.json, report.csv and report.html.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace frugal::report {

// One run as the journal tells it: the events from the last run_start on.
struct JournalView {
  base::Json run_start = base::Json::object();
  base::Json run_end;             // null while running, or after a kill
  std::vector<base::Json> steps;  // step_end and step_failed, in order
  std::vector<base::Json> idle;
  std::string sha256;  // of the whole file
};

// Errors: no journal, a line that is not JSON (named), no run_start.
absl::StatusOr<JournalView> read_journal(const std::filesystem::path& journal);

// report.json: a pure function of the journal (schema: summary.cpp's head). Errors: records that
// lack what the schema of the journal promises.
absl::StatusOr<base::Json> summarize(const JournalView& journal);

// The page with the report inside; no reference to anything outside the file.
std::string render_page(const base::Json& report);

// One row per model and metric: model,metric,value,low,high,confidence,n,unit,provenance,source.
std::string render_csv(const base::Json& report);

// Reads RUN/journal.jsonl and writes report.json, report.csv and report.html beside it, atomically.
absl::Status write_report(const std::filesystem::path& run_folder);

// The verdict and the table as text for a terminal, at most `width` columns.
std::string render_text(const base::Json& report, int width);

}  // namespace frugal::report
