// frugal compare: several runs in one table.
#include <cstdio>

#include "base/file.h"
#include "commands.h"
#include "report/compare_runs.h"
#include "session.h"

namespace frugal::tool {
namespace {

namespace fs = std::filesystem;

absl::Status write_all(const base::Json& comparison, const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return base::system_error("create", folder.string(), error.value());
  const std::string json =
      comparison.dump(1, ' ', false, base::Json::error_handler_t::replace) + "\n";
  FRUGAL_RETURN_IF_ERROR(base::write_file_atomically(folder / "compare.json", json));
  FRUGAL_RETURN_IF_ERROR(
      base::write_file_atomically(folder / "compare.csv", report::comparison_csv(comparison)));
  return base::write_file_atomically(folder / "compare.html",
                                     report::render_comparison(comparison));
}

}  // namespace

int compare_runs(const std::vector<std::string>& run_folders, const std::string& out, bool json) {
  const auto comparison =
      report::compare_runs(std::vector<fs::path>(run_folders.begin(), run_folders.end()));
  if (!comparison.ok())
    return fail(base::as_std(comparison.status().message()), exit_code(comparison.status()));
  const std::string text = json ? comparison->dump(1) + "\n" : report::comparison_text(*comparison);
  std::fwrite(text.data(), 1, text.size(), stdout);
  const absl::Status written = write_all(*comparison, out);
  if (!written.ok()) return fail(base::as_std(written.message()), pass::kExitFailed);
  if (!json) std::printf("page: %s\n", (fs::path(out) / "compare.html").c_str());
  return pass::kExitDone;
}

}  // namespace frugal::tool
