// frugal doctor: what this machine has, what is missing and how to get it.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "base/file.h"
#include "base/process.h"
#include "device.h"
#include "grid/cpu_level.h"
#include "runtime/catalog.h"
#include "session.h"

namespace frugal::tool {
namespace fs = std::filesystem;
namespace {

void say(std::string_view mark, std::string_view text) {
  std::printf("  %-4s %.*s\n", std::string(mark).c_str(), static_cast<int>(text.size()),
              text.data());
}

void machine() {
  std::printf("machine\n");
  const std::string cpu = base::cpu_model_name();
  say("ok", base::str_cat(cpu.empty() ? "CPU of unknown name" : cpu, ", ", base::available_cpus(),
                          " of ", base::online_cpus(), " hardware threads"));
  if (const auto level = grid::cpu_level(); level.ok())
    say("ok", base::str_cat("loops of frugal for ", grid::cpu_level_name(*level)));
  const double memory =
      static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGESIZE));
  say("ok", base::str_cat(base::format_bytes(memory), " memory"));
  if (const auto free = base::free_bytes("."); free.ok()) {
    say("ok", base::str_cat(base::format_bytes(static_cast<double>(*free)), " disk free here"));
  }
}

void devices() {
  std::printf("devices\n");
  // CUDA first: LibTorch asks for it once, at its first use.
  const auto cuda = open_device("cuda");
  if (cuda.ok()) {
    say("ok", cuda->description);
    const auto kernels = cuda_kernels();
    say(kernels.ok() ? "ok" : "!",
        base::str_cat("CUDA kernels: ",
                      kernels.ok() ? *kernels : std::string(kernels.status().message())));
  } else {
    say("-", base::str_cat("no CUDA: ", base::as_std(cuda.status().message())));
  }
  const auto cpu = open_device("cpu");
  say(cpu.ok() ? "ok" : "!", cpu.ok() ? cpu->description : std::string(cpu.status().message()));
  for (const std::string& fact : torch_facts()) say("ok", fact);
}

void meters() {
  std::printf("meters\n");
  const energy::MeterSet set = energy::MeterSet::detect({});
  for (const energy::MeterInfo& meter : set.meters()) {
    say("ok", base::str_cat(meter.scope, " (", energy::to_text(meter.provenance),
                            meter.in_total ? "" : ", beside the sum", "): ", meter.method));
  }
  for (const energy::Unavailable& meter : set.unavailable())
    say("-", base::str_cat(meter.name, ": ", meter.reason));
  if (set.meters().empty()) say("!", "energy stays unknown on this machine");
}

bool has_module(const std::vector<fs::path>& environments, const std::string& module) {
  std::error_code error;
  for (const fs::path& environment : environments) {
    for (auto python = fs::directory_iterator(environment / "lib", error);
         !error && python != fs::directory_iterator(); python.increment(error)) {
      if (fs::exists(python->path() / "site-packages" / module, error)) return true;
    }
  }
  return false;
}

// What artifacts are scored and measured in.
void runtimes() {
  std::printf("runtimes that serve artifacts\n");
  const auto environment = runtime::environment();
  if (!environment.ok()) {
    say("-", base::as_std(environment.status().message()));
    return;
  }
  say("ok", environment->python.string());
  for (const runtime::Runtime& one : runtime::runtimes()) {
    const auto version = runtime::version_in(*environment, one);
    say(version.ok() ? "ok" : "-", version.ok() ? base::str_cat(one.name, ": ", *version)
                                                : std::string(version.status().message()));
  }
}

// Only the tests ask them; a user needs none.
void oracles() {
  std::printf("runtimes that check our files (only for tests: scripts/setup --tests)\n");
  std::vector<fs::path> environments = {".oracles", ".venv"};
  if (const char* folder = std::getenv("FRUGAL_ORACLES"))
    environments.insert(environments.begin(), folder);
  for (const char* module :
       {"gguf", "xllamacpp", "onnx", "onnxruntime", "onnxruntime_genai", "tokenizers"}) {
    say(has_module(environments, module) ? "ok" : "-", module);
  }
}

}  // namespace

int doctor() {
  std::printf("frugal %s\n", FRUGAL_VERSION);
  machine();
  devices();
  meters();
  runtimes();
  oracles();
  return pass::kExitDone;
}

}  // namespace frugal::tool
