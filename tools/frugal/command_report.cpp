// frugal report.
#include <cstdio>

#include "report/report.h"
#include "session.h"

namespace frugal::tool {

int draw_report(const std::string& run_folder) {
  const absl::Status status = report::write_report(run_folder);
  if (!status.ok()) return fail(base::as_std(status.message()), exit_code(status));
  std::printf("%s\n", (std::filesystem::path(run_folder) / "report.html").c_str());
  return pass::kExitDone;
}

}  // namespace frugal::tool
