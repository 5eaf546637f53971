// frugal verify.
#include <cstdio>

#include "passes/recompute.h"
#include "report/verify.h"
#include "session.h"

namespace frugal::tool {

int verify_run(const std::string& run_folder) {
  const auto found = report::verify_run(run_folder, passes::recompute);
  if (!found.ok()) return fail(base::as_std(found.status().message()), exit_code(found.status()));
  const auto say = [](int64_t count, const char* what) {
    if (count > 0) std::printf("%9lld %s\n", static_cast<long long>(count), what);
  };
  say(found->lines, "lines of the journal, each by its link to the one before");
  say(found->windows, "energy windows from their raw readings");
  say(found->statistics, "statistics from the items or windows that they rest on");
  say(found->comparisons, "comparisons of two models from the items of both");
  say(found->files, "files by their SHA-256 (checkpoints, artifacts, items, factors, pipeline)");
  say(found->drawings, "drawings (report, cards, exports) byte for byte");
  say(found->reported, "statistics are what their passes reported: no items are kept of them");
  for (const std::string& text : found->unchecked) std::printf("not checked: %s\n", text.c_str());
  for (const std::string& text : found->problems) std::printf("WRONG: %s\n", text.c_str());
  std::printf("%s\n", !found->problems.empty()   ? "not what the journal says"
                      : found->unchecked.empty() ? "verified"
                                                 : "verified, but for what was not checked");
  return found->problems.empty() ? pass::kExitDone : pass::kExitFailed;
}

}  // namespace frugal::tool
