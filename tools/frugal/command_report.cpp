// frugal report.
#include <cstdio>

#include "report/exports.h"
#include "report/report.h"
#include "session.h"

namespace frugal::tool {

namespace {

int write_exports(const std::string& run_folder) {
  const auto exported = report::write_exports(run_folder);
  if (!exported.ok())
    return fail(base::as_std(exported.status().message()), exit_code(exported.status()));
  for (const std::string& file : exported->files) std::printf("%s\n", file.c_str());
  for (const std::string& text : exported->left_out) std::printf("left out: %s\n", text.c_str());
  return pass::kExitDone;
}

}  // namespace

int draw_report(const std::string& run_folder, bool exports) {
  const absl::Status status = report::write_report(run_folder);
  if (!status.ok()) return fail(base::as_std(status.message()), exit_code(status));
  std::printf("%s\n", (std::filesystem::path(run_folder) / "report.html").c_str());
  return exports ? write_exports(run_folder) : pass::kExitDone;
}

}  // namespace frugal::tool
