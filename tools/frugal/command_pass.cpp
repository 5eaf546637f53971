// frugal quantize, frugal train, …: any pass as one command.
#include "one_liner.h"
#include "pass/publish.h"
#include "passes/registry.h"
#include "session.h"

namespace frugal::tool {

int run_pass(const PassArguments& arguments) {
  set_output(arguments.run);
  if (!arguments.out.empty() && !arguments.plan_only) {
    const absl::Status free = pass::check_target(arguments.out, arguments.force);
    if (!free.ok()) return fail(base::as_std(free.message()), pass::kExitUsage);
  }
  pass::Problems problems("");
  pass::Pipeline pipeline = pipeline_of(arguments, passes::registry(), problems);
  const auto planned =
      make_plan(std::move(pipeline), arguments.run, !arguments.plan_only, std::move(problems));
  if (!planned.ok())
    return fail(base::as_std(planned.status().message()), exit_code(planned.status()));
  if (arguments.plan_only) return print_plan(*planned, arguments.run);
  return execute(*planned, arguments.run, [&](const pass::RunResult& result) {
    if (arguments.out.empty()) return absl::OkStatus();
    if (result.outputs.back().empty()) {
      return base::invalid_argument("--out: the pass '", arguments.pass,
                                    "' yields numbers only; they are in the run folder");
    }
    const auto cards =
        pass::cards_of(result.outputs.back(),
                       run_folder(arguments.run, planned->plan.pipeline.name), result.paths.back());
    return pass::publish_result(result.outputs.back(), arguments.out, arguments.force, cards);
  });
}

}  // namespace frugal::tool
