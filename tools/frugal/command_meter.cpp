// frugal meter -- COMMAND.
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "base/file.h"
#include "base/progress.h"
#include "energy/derive.h"
#include "energy/site.h"
#include "session.h"

namespace frugal::tool {
namespace {

// Runs the command and waits for it; its exit code, or 128 + signal. 127: it could not be started.
int run_child(const std::vector<std::string>& command) {
  std::vector<char*> argv;
  for (const std::string& part : command) argv.push_back(const_cast<char*>(part.c_str()));
  argv.push_back(nullptr);
  const pid_t child = ::fork();
  if (child < 0) return fail(base::str_cat("cannot start a process: ", std::strerror(errno)), 127);
  if (child == 0) {
    ::signal(SIGINT, SIG_DFL);
    ::signal(SIGTERM, SIG_DFL);
    ::execvp(argv[0], argv.data());
    std::fprintf(stderr, "frugal: cannot run '%s': %s\n", argv[0], std::strerror(errno));
    ::_exit(127);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

std::string figure_text(const std::optional<double>& value, const char* unit) {
  if (!value) return base::str_cat("unknown ", unit);
  char buffer[48];
  std::snprintf(buffer, sizeof buffer, "%.4g %s", *value, unit);
  return buffer;
}

// " (may be 25 to 150 J)": the range of a model; empty where there is none.
std::string range_text(const std::optional<energy::Range>& range, const char* unit) {
  if (!range) return "";
  char buffer[80];
  std::snprintf(buffer, sizeof buffer, " (may be %.3g to %.3g %s)", range->low, range->high, unit);
  return buffer;
}

void print_window(const energy::WindowResult& window, const energy::MeterSet& meters) {
  for (const energy::MeterWindow& meter : window.meters) {
    std::string line = base::str_cat(
        "  ", meter.info.scope, ": ", figure_text(meter.joules, "J"), ", ",
        figure_text(meter.mean_watts, "W"), " (", energy::to_text(meter.info.provenance),
        meter.info.in_total ? "" : ", beside the sum", ": ", meter.info.method, ")");
    if (!meter.joules) line += base::str_cat(": ", meter.reason);
    base::print_above_progress(line);
    for (const std::string& warning : meter.warnings)
      base::print_above_progress(base::str_cat("    ", warning));
  }
  for (const energy::Unavailable& meter : meters.unavailable()) {
    base::print_above_progress(base::str_cat("  not read: ", meter.name, ": ", meter.reason));
  }
}

std::string carbon_text(const energy::Figure& joules, const std::optional<energy::Site>& site) {
  if (!site) return "gCO2e unknown: give --site FILE (configs/sites)";
  const energy::SiteCarbon carbon = energy::carbon(joules.value, *site);
  return base::str_cat(figure_text(carbon.location_grams, "gCO2e"), " (", site->name, ", ",
                       energy::to_text(energy::derived_from_site(joules.provenance)), ")");
}

}  // namespace

int meter_command(const MeterArguments& arguments) {
  std::optional<energy::Site> site;
  if (!arguments.site.empty()) {
    auto loaded = energy::load_site(arguments.site);
    if (!loaded.ok()) return fail(base::as_std(loaded.status().message()), pass::kExitUsage);
    site = *std::move(loaded);
  }
  auto meters = open_meters(arguments.hardware, "");
  if (!meters.ok()) return fail(base::as_std(meters.status().message()), pass::kExitUsage);
  energy::Window window = meters->begin(arguments.command[0]);
  const int code = run_child(arguments.command);
  const energy::WindowResult result = window.end();
  const energy::Figure joules = result.total_joules();
  std::optional<double> watts;
  if (joules.value && result.seconds > 0) watts = *joules.value / result.seconds;
  base::print_above_progress(base::str_cat(
      "frugal meter: ", figure_text(joules.value, "J"), range_text(joules.range, "J"), " ",
      joules.value ? energy::to_text(joules.provenance) : "", ", ", figure_text(watts, "W"), ", ",
      base::format_duration(result.seconds), ", ", carbon_text(joules, site)));
  print_window(result, *meters);
  if (arguments.json.empty()) return code;
  const absl::Status written =
      base::write_file_atomically(arguments.json, energy::to_json(result).dump(1) + "\n");
  return written.ok() ? code : fail(base::as_std(written.message()), pass::kExitFailed);
}

}  // namespace frugal::tool
