#include "session.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>

#include "artifact/importer.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "passes/common/arithmetic.h"
#include "passes/registry.h"
#include "report/report.h"

namespace frugal::tool {
namespace fs = std::filesystem;

int fail(std::string_view text, int code) {
  base::print_above_progress(base::str_cat("frugal: ", text));
  return code;
}

int exit_code(const absl::Status& status) {
  if (base::is_interrupted(status)) return pass::kExitInterrupted;
  return absl::IsInvalidArgument(status) || absl::IsNotFound(status) ? pass::kExitUsage
                                                                     : pass::kExitFailed;
}

fs::path run_folder(const RunArguments& arguments, std::string_view name) {
  return arguments.out.empty() ? fs::path("runs") / name : fs::path(arguments.out);
}

fs::path cache_folder(const RunArguments& arguments, std::string_view name) {
  if (!arguments.cache.empty()) return arguments.cache;
  std::error_code error;
  fs::path run = fs::absolute(run_folder(arguments, name), error).lexically_normal();
  if (run.filename().empty()) run = run.parent_path();
  return run.parent_path() / ".cache";
}

void set_output(const RunArguments& arguments) {
  if (arguments.quiet) base::set_log_level(base::LogLevel::kWarning);
  if (arguments.quiet || arguments.json) base::set_progress_style(base::ProgressStyle::kSilent);
}

absl::StatusOr<energy::MeterSet> open_meters(const std::string& hardware,
                                             const std::string& device) {
  energy::DetectOptions options;
  if (constexpr std::string_view kCuda = "cuda"; device.starts_with(kCuda)) {
    const size_t colon = device.find(':');
    options.cuda_index = colon == std::string::npos ? 0 : std::stoll(device.substr(colon + 1));
  }
  if (!hardware.empty()) {
    FRUGAL_ASSIGN_OR_RETURN(options.cpu_profile, energy::load_hardware(hardware));
  }
  return energy::MeterSet::detect(options);
}

namespace {

absl::StatusOr<std::string> hash_of(const std::vector<fs::path>& files) {
  if (files.size() == 1) return base::xxh3_128_of_file(files.front());
  base::KeyHasher all;
  for (const fs::path& file : files) {
    FRUGAL_ASSIGN_OR_RETURN(const std::string hash, base::xxh3_128_of_file(file));
    all.add(file.filename().string()).add(hash);
  }
  return all.hex();
}

// What a model of another format becomes, in the cache by its content: made when it is first asked
// for. A checkpoint is itself.
absl::StatusOr<fs::path> imported(const pass::Cache& cache, pass::HashStore& hashes,
                                  const fs::path& file) {
  const artifact::Importer* importer = artifact::importer_of(file);
  if (importer == nullptr) return file;  // whoever opens it says what it is
  FRUGAL_ASSIGN_OR_RETURN(const auto files, importer->files(file));
  FRUGAL_ASSIGN_OR_RETURN(const auto hash, hashes.get(base::str_cat("import ", file.string()),
                                                      files, [&] { return hash_of(files); }));
  base::KeyHasher key;
  key.add("import")
      .add(importer->name)
      .add(base::str_cat(importer->version))
      .add(hash.value_or(""));
  return cache.shared(
      key.hex(), [&](const fs::path& folder) { return importer->write(file, folder).status(); });
}

}  // namespace

absl::StatusOr<fs::path> model_folder(const std::string& model, const RunArguments& arguments) {
  if (artifact::importer_of(model) == nullptr) return fs::path(model);
  FRUGAL_ASSIGN_OR_RETURN(const pass::Cache cache,
                          pass::Cache::open(cache_folder(arguments, "generate")));
  pass::HashStore hashes(cache.folder() / "hashes");
  return imported(cache, hashes, model);
}

absl::StatusOr<Planned> make_plan(pass::Pipeline pipeline, const RunArguments& arguments,
                                  bool read_weights, pass::Problems problems) {
  FRUGAL_ASSIGN_OR_RETURN(const Device device, open_device(arguments.device));
  FRUGAL_ASSIGN_OR_RETURN(pass::Cache cache,
                          pass::Cache::open(cache_folder(arguments, pipeline.name)));
  pass::HashStore hashes(cache.folder() / "hashes");
  pass::Plan plan = pass::make_plan(
      std::move(pipeline),
      {.registry = &passes::registry(),
       .hashes = &hashes,
       .read_weights = read_weights,
       .until = arguments.until,
       .device = device.name,
       .arithmetic =
           [&device](std::string_view precision) {
             return passes::arithmetic_of(precision, device.name);
           },
       .import_model = [&](const fs::path& file) { return imported(cache, hashes, file); },
       .artifact_format =
           [](const fs::path& file) {
             const artifact::Importer* importer = artifact::importer_of(file);
             return importer == nullptr ? std::string() : std::string(importer->name);
           }},
      problems);
  FRUGAL_RETURN_IF_ERROR(base::check_interrupt());  // an import may have taken long
  FRUGAL_RETURN_IF_ERROR(problems.status());
  return Planned{std::move(cache), std::move(plan), device};
}

int print_plan(const Planned& planned, const RunArguments& arguments) {
  // What execute() refuses before its first step.
  if (const auto device = open_device(arguments.device); !device.ok())
    return fail(base::as_std(device.status().message()), pass::kExitUsage);
  if (!arguments.hardware.empty()) {
    if (const auto profile = energy::load_hardware(arguments.hardware); !profile.ok())
      return fail(base::as_std(profile.status().message()), pass::kExitUsage);
  }
  const bool json = arguments.json;
  const std::string text = json ? pass::plan_json(planned.plan, planned.cache).dump(1) + "\n"
                                : pass::plan_table(planned.plan, planned.cache);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return pass::kExitDone;
}

namespace {

int terminal_columns() {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 40 ? size.ws_col : 120;
}

absl::Status write_report(const fs::path& run_folder) { return report::write_report(run_folder); }

// The verdict and where the page is.
void print_outcome(const fs::path& run_folder) {
  const auto report = base::read_json(run_folder / "report.json");
  if (report.ok()) std::fputs(report::render_text(*report, terminal_columns()).c_str(), stdout);
  std::printf("report: %s\n", (run_folder / "report.html").c_str());
  std::fflush(stdout);
}

}  // namespace

int execute(const Planned& planned, const RunArguments& arguments,
            const std::function<absl::Status(const pass::RunResult&)>& publish) {
  auto meters = open_meters(arguments.hardware, planned.device.name);
  if (!meters.ok()) return fail(base::as_std(meters.status().message()), pass::kExitUsage);
  const pass::OutputStyle style = arguments.json    ? pass::OutputStyle::kJson
                                  : arguments.quiet ? pass::OutputStyle::kQuiet
                                                    : pass::OutputStyle::kText;
  pass::RunOptions options{.run_folder = run_folder(arguments, planned.plan.pipeline.name),
                           .device = planned.device.name,
                           .device_description = planned.device.description,
                           .idle_seconds = arguments.idle_seconds,
                           .style = style,
                           .color = pass::wants_color(),
                           .command = arguments.command,
                           .version = FRUGAL_VERSION,
                           .report = write_report};
  if (!arguments.hardware.empty()) options.factor_files.push_back({"cpu", arguments.hardware});
  auto result = pass::run_plan(planned.plan, planned.cache, *meters, options);
  if (!result.ok())
    return fail(base::as_std(result.status().message()), exit_code(result.status()));
  if (result->exit_code == pass::kExitDone && publish) {
    const absl::Status published = publish(*result);
    if (!published.ok()) return fail(base::as_std(published.message()), pass::kExitFailed);
  }
  if (style == pass::OutputStyle::kText) print_outcome(options.run_folder);
  if (!result->message.empty()) fail(result->message, result->exit_code);
  return result->exit_code;
}

}  // namespace frugal::tool
