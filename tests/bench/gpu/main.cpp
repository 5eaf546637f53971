// What no unit test can say of a GPU: speed against the device's limits, agreement of whole
// results, and the energy counter. Part of the bundle of scripts/gpu-bundle; tests/bench/gpu.md
// says what each figure is.
//
//   frugal_gpu_bench layer [--device cuda] [--width 2048] [--neurons 8192] [--tokens 16384]
//                          [--window 2048]
//   frugal_gpu_bench sweep
//   frugal_gpu_bench codes FOLDER FOLDER [--least SHARE]
//   frugal_gpu_bench energy [--device cuda] [--seconds 10]
//
// Exit: 0, 1 where a bound is not met or something failed, 2 for a wrong command line, 3 where the
// device is not there.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/text.h"
#include "parts.h"
#include "tensor/block_cache.h"

namespace {

int report(const absl::Status& status) {
  if (status.ok()) return 0;
  std::fprintf(stderr, "frugal_gpu_bench: %s\n",
               std::string(frugal::base::as_std(status.message())).c_str());
  return absl::IsNotFound(status) ? 3 : 1;
}

int report(const absl::StatusOr<bool>& passed) {
  if (!passed.ok()) return report(passed.status());
  return *passed ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace frugal::bench;
  CLI::App app("Figures of a GPU.");
  app.require_subcommand(1);
  LayerOptions layer;
  CLI::App* const layer_command = app.add_subcommand("layer", "Times the work on one layer");
  layer_command->add_option("--device", layer.device)->capture_default_str();
  layer_command->add_option("--width", layer.width)->capture_default_str();
  layer_command->add_option("--neurons", layer.neurons)->capture_default_str();
  layer_command->add_option("--tokens", layer.tokens)->capture_default_str();
  layer_command->add_option("--window", layer.window)->capture_default_str();
  CLI::App* const sweep_command = app.add_subcommand("sweep", "Times the CUDA kernels alone");
  std::vector<std::string> folders;
  double least = 0;
  CLI::App* const codes_command = app.add_subcommand("codes", "Compares quantized checkpoints");
  codes_command->add_option("folders", folders)->expected(2)->required();
  codes_command->add_option("--least", least)->capture_default_str();
  std::string device = "cuda";
  double seconds = 10;
  CLI::App* const energy_command = app.add_subcommand("energy", "Energy counter against power");
  energy_command->add_option("--device", device)->capture_default_str();
  energy_command->add_option("--seconds", seconds)->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  frugal::tensor::use_block_cache();
  if (layer_command->parsed()) return report(time_layer(layer));
  if (sweep_command->parsed()) return report(time_sweeps());
  if (codes_command->parsed()) return report(compare_codes(folders[0], folders[1], least));
  return report(check_energy(device, seconds));
}
