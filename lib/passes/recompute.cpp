#include "passes/recompute.h"

#include "base/interrupt.h"
#include "passes/evaluate/recompute_evaluation.h"
#include "passes/measure/recompute_speed.h"

namespace frugal::passes {

absl::StatusOr<pass::Recomputed> recompute(const base::Json& run_start,
                                           const std::vector<base::Json>& steps,
                                           const base::Json& step,
                                           const std::filesystem::path& run_folder) {
  try {
    const std::string pass = step.value("pass", "");
    const uint64_t seed = run_start.value("seed", uint64_t{0});
    absl::StatusOr<pass::Recomputed> out = pass::Recomputed{};
    if (pass == "evaluate") out = recompute_evaluation(run_start, steps, step, run_folder);
    if (pass == "measure") out = recompute_speed(seed, step, run_folder);
    if (out.ok() || base::is_interrupted(out.status())) return out;
    return base::data_loss(out.status().message());
  } catch (const base::Json::exception& error) {  // a record may have been changed in any way
    return base::data_loss("a record is not what its schema says: ", error.what());
  }
}

}  // namespace frugal::passes
