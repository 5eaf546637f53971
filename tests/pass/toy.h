// Passes without LibTorch, and pipelines of them, for the tests of this room.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "energy/window.h"
#include "pass/cache.h"
#include "pass/pass.h"
#include "pass/pipeline.h"
#include "pass/plan.h"
#include "pass/runner.h"
#include "support/shared_data.h"

namespace frugal::pass::test {

// make: no input, a tiny checkpoint; scale: multiplies every weight; judge: numbers and items;
// pack: an artifact; serve: looks at a checkpoint or an artifact.
const Registry& toy_registry();

// Called by `scale` at each of its steps (0, 1, …) with its resume folder; what it returns ends the
// pass unless OK.
using Hook = std::function<absl::Status(int64_t step)>;
void set_hook(Hook hook);

// Writes a tiny Llama checkpoint whose weights are `value`.
absl::Status write_toy_model(const std::filesystem::path& folder, float value);

// A folder with a model "teacher", texts and a cache.
class Workshop {
 public:
  Workshop();
  const std::filesystem::path& path() const { return folder_.path(); }
  std::filesystem::path run_folder() const { return path() / "runs" / "toy"; }

  // A plan of `text`; problems as one text.
  Plan plan(const std::string& text, const Settings& settings = {});
  std::string problems(const std::string& text, const Settings& settings = {});

  absl::StatusOr<RunResult> run(const std::string& text);
  absl::StatusOr<RunResult> run_plan(const Plan& plan, const std::filesystem::path& run_folder);
  Cache cache() const { return Cache::open(path() / "cache").value(); }
  // Events of the latest run, all of them or of one kind.
  std::vector<base::Json> events(const std::string& kind = "") const;

 private:
  frugal::test::TemporaryFolder folder_;
};

// One meter that gains 5 J at every reading.
energy::MeterSet toy_meters();

}  // namespace frugal::pass::test
