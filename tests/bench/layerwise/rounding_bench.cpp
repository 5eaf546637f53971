// What each way of rounding costs on a real model: CPU seconds and KL divergence to the original on
// held-out text.
//
//   frugal_rounding_bench FOLDER CALIBRATION_GLOB HELD_OUT_FILE [GRID...] --benchmark_filter=q4_0/P
//
// 64 calibration windows of 256 tokens spread over the text, 60 held-out windows; decoder matrices
// only. Each grid and recipe runs once; its time is the walk's.
#include <ATen/core/grad_mode.h>
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "layerwise/walk/calibration.h"
#include "layerwise/walk/walk.h"
#include "model/decoder.h"
#include "passes/quantize/grid_solver.h"
#include "tensor/aten.h"

namespace frugal {
namespace {

struct Recipe {
  const char* name;
  passes::RoundingMethod method;
  bool dynamic;
  int sweeps;
  double drift_strength;
};
using passes::RoundingMethod;
constexpr Recipe kRecipes[] = {{"rtn", RoundingMethod::kRoundToNearest, true, 0, 0},
                               {"gptq_static", RoundingMethod::kGptq, false, 0, 0},
                               {"gptq_dynamic", RoundingMethod::kGptq, true, 0, 0},
                               {"gptq_finish", RoundingMethod::kGptq, true, 3, 0},
                               {"P_0.5", RoundingMethod::kGptq, true, 3, 0.5},
                               {"P_1", RoundingMethod::kGptq, true, 3, 1}};

absl::StatusOr<text::Windows> windows(const format::Checkpoint& model, const std::string& glob,
                                      int64_t count) {
  text::DataSource source;
  source.text = {glob};
  return layerwise::load_calibration(model, source, {.windows = count, .length = 256});
}

at::Tensor log_probabilities(const model::Decoder& decoder, const at::Tensor& ids) {
  return at::log_softmax(decoder.logits({.ids = ids, .positions = {}}), -1);
}

double divergence(const model::Decoder& original, const model::Decoder& changed,
                  const text::Windows& text) {
  const at::NoGradGuard no_grad;
  const at::Tensor ids =
      at::tensor(text.ids, at::kInt).to(at::kLong).view({text.count, text.length});
  double sum = 0;
  for (int64_t i = 0; i < text.count; i += 4) {
    const at::Tensor batch = ids.narrow(0, i, std::min<int64_t>(4, text.count - i));
    const at::Tensor p = log_probabilities(original, batch), q = log_probabilities(changed, batch);
    sum += (p.exp() * (p - q)).sum().item<double>();
  }
  return sum / static_cast<double>(text.count * text.length);
}

// The walk's result, straight from the layer store into a decoder.
absl::Status take_weights(const layerwise::LayerStore& store, const std::string& grid,
                          model::Decoder& decoder) {
  for (int64_t layer = 0; layer < decoder.config().layer_count(); ++layer) {
    FRUGAL_ASSIGN_OR_RETURN(const auto stored, store.read(layer));
    for (const architecture::Stage& stage : decoder.stages()) {
      for (const architecture::Tensor& matrix : stage.matrices) {
        const std::string name = matrix.name;
        const at::Tensor& old = decoder.parameters().at(name);
        FRUGAL_ASSIGN_OR_RETURN(
            const grid::QuantizedMatrix codes,
            passes::GridSolver::stored_matrix(*stored, name, grid, old.size(0), old.size(1)));
        decoder.set_parameter(name, layerwise::decode(codes));
      }
    }
  }
  return absl::OkStatus();
}

struct Material {
  format::Checkpoint model;
  text::Windows calibration, held_out;
  model::Decoder original;
};

absl::Status measure(benchmark::State& state, const Material& material, const std::string& grid,
                     const Recipe& recipe) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / "frugal-rounding-bench";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  const layerwise::LayerStore store(folder, "bench");
  passes::GridSolverOptions options;
  options.stages = material.original.stages();
  options.layer_count = material.model.config().layer_count();
  for (int64_t layer = 0; layer < options.layer_count; ++layer) {
    for (const architecture::Stage& stage : options.stages) {
      for (const architecture::Tensor& matrix : stage.matrices) options.grids[matrix.name] = grid;
    }
  }
  options.method = recipe.method;
  options.calibrated = true;
  options.drift_strength = {recipe.drift_strength, recipe.drift_strength};
  options.gptq = {.dynamic_scales = recipe.dynamic,
                  .sweeps = recipe.sweeps,
                  .refits = recipe.sweeps > 0 ? 2 : 0};
  passes::GridSolver solver(options, store);
  for (auto _ : state) {
    FRUGAL_RETURN_IF_ERROR(layerwise::walk(material.model, material.calibration, {}, solver));
  }
  model::Decoder changed = material.original.clone();
  FRUGAL_RETURN_IF_ERROR(take_weights(store, grid, changed));
  state.counters["KLD"] = divergence(material.original, changed, material.held_out);
  std::filesystem::remove_all(folder);
  return absl::OkStatus();
}

absl::Status run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 3)
    return base::invalid_argument("usage: FOLDER CALIBRATION_GLOB HELD_OUT_FILE [GRID...]");
  FRUGAL_ASSIGN_OR_RETURN(format::Checkpoint model, format::Checkpoint::open(arguments[0]));
  FRUGAL_ASSIGN_OR_RETURN(const text::Windows calibration, windows(model, arguments[1], 64));
  FRUGAL_ASSIGN_OR_RETURN(const text::Windows held_out, windows(model, arguments[2], 60));
  FRUGAL_ASSIGN_OR_RETURN(model::Decoder original, model::Decoder::load(model, {}));
  const Material material{std::move(model), calibration, held_out, std::move(original)};
  std::vector<std::string> grids(arguments.begin() + 3, arguments.end());
  if (grids.empty()) grids = {"q4_0", "iq4_nl", "q4_k", "q8_0"};
  for (const std::string& grid : grids) {
    for (const Recipe& recipe : kRecipes) {
      benchmark::RegisterBenchmark((grid + "/" + recipe.name).c_str(),
                                   [&material, grid, &recipe](benchmark::State& state) {
                                     const absl::Status status =
                                         measure(state, material, grid, recipe);
                                     if (!status.ok())
                                       state.SkipWithError(status.ToString().c_str());
                                   })
          ->Iterations(1)
          ->Unit(benchmark::kSecond)
          ->MeasureProcessCPUTime();
    }
  }
  benchmark::RunSpecifiedBenchmarks();
  return absl::OkStatus();
}

}  // namespace
}  // namespace frugal

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  const absl::Status status = frugal::run({argv + 1, argv + argc});
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
