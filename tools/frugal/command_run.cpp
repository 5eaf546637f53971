// frugal run, frugal plan.
#include "base/file.h"
#include "base/file_kind.h"
#include "session.h"

namespace frugal::tool {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kLargestPipelineBytes = int64_t{1} << 20;

absl::StatusOr<Planned> load(const PipelineArguments& arguments, bool read_weights) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string text,
                          base::read_file(arguments.file, kLargestPipelineBytes));
  if (!text.empty()) FRUGAL_RETURN_IF_ERROR(base::refuse_foreign(text, arguments.file));
  pass::Problems problems(arguments.file);
  pass::Settings settings;
  for (const std::string& setting : arguments.settings) {
    const size_t equals = setting.find('=');
    if (equals == std::string::npos || equals == 0) {
      return base::invalid_argument("--set ", setting, ": expected NAME=VALUE");
    }
    settings.emplace_back(setting.substr(0, equals), setting.substr(equals + 1));
  }
  pass::Pipeline pipeline =
      pass::parse_pipeline(text, fs::path(arguments.file).parent_path(), settings, problems);
  pipeline.file = arguments.file;
  return make_plan(std::move(pipeline), arguments.run, read_weights, std::move(problems));
}

}  // namespace

int run_pipeline(const PipelineArguments& arguments) {
  set_output(arguments.run);
  const auto planned = load(arguments, true);
  if (!planned.ok())
    return fail(base::as_std(planned.status().message()), exit_code(planned.status()));
  return execute(*planned, arguments.run, {});
}

int plan_pipeline(const PipelineArguments& arguments) {
  const auto planned = load(arguments, false);
  if (!planned.ok())
    return fail(base::as_std(planned.status().message()), exit_code(planned.status()));
  return print_plan(*planned, arguments.run);
}

}  // namespace frugal::tool
