// A run in the formats of others, for auditors and their tools: BoAmps reports (Boavizta, one for
// each step whose energy is known), a manifest for the Impact Framework (Green Software
// Foundation), which computes carbon and SCI again by its own plugins, and a table for ESRS E1
// (esrs.h).
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "report/drawings.h"
#include "report/report.h"

namespace frugal::report {

// By step name. A step whose energy is unknown has none: the format knows no unknown energy, and 0
// would be wrong.
std::map<std::string, base::Json> boamps_reports(const JournalView& journal);

// JSON, which is YAML. Null without a site: without a grid there is no carbon to compute.
base::Json impact_framework_manifest(const JournalView& journal);

// RUN/boamps/<step>.json, RUN/impact-framework.yaml, RUN/esrs-e1.json and .csv.
struct Exports {
  std::vector<Drawing> files;
  std::vector<std::string> left_out;  // with the reason
};
Exports exports_of(const JournalView& journal);

// Writes them, and their hashes to SHA256SUMS. Returns what it wrote, and left out.
struct Exported {
  std::vector<std::string> files;
  std::vector<std::string> left_out;
};
absl::StatusOr<Exported> write_exports(const std::filesystem::path& run_folder);

}  // namespace frugal::report
