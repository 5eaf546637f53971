// frugal report.
#include <cstdio>

#include "session.h"
#ifdef FRUGAL_HAS_REPORT
#include "report/report.h"
#endif

namespace frugal::tool {

int draw_report(const std::string& run_folder) {
#ifdef FRUGAL_HAS_REPORT
  const absl::Status status = report::write_report(run_folder);
  if (!status.ok()) return fail(base::as_std(status.message()), exit_code(status));
  std::printf("%s\n", (std::filesystem::path(run_folder) / "report.html").c_str());
  return pass::kExitDone;
#else
  return fail(base::str_cat("this build has no report room; '", run_folder, "' was not drawn"),
              pass::kExitFailed);
#endif
}

}  // namespace frugal::tool
