// frugal verify.
#include <cstdio>

#include "report/verify.h"
#include "session.h"

namespace frugal::tool {

int verify_run(const std::string& run_folder) {
  const auto found = report::verify_run(run_folder);
  if (!found.ok()) return fail(base::as_std(found.status().message()), exit_code(found.status()));
  std::printf(
      "%lld energy windows from their raw readings, %lld files by their SHA-256, %lld of 3 "
      "drawings of the report byte for byte\n",
      static_cast<long long>(found->windows), static_cast<long long>(found->files),
      static_cast<long long>(found->drawings));
  for (const std::string& text : found->unchecked) std::printf("not checked: %s\n", text.c_str());
  for (const std::string& text : found->problems) std::printf("WRONG: %s\n", text.c_str());
  std::printf("%s\n", !found->problems.empty()   ? "not what the journal says"
                      : found->unchecked.empty() ? "verified"
                                                 : "verified, but for what was not checked");
  return found->problems.empty() ? pass::kExitDone : pass::kExitFailed;
}

}  // namespace frugal::tool
