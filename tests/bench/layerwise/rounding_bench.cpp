// What each way of rounding costs on a real model: CPU seconds and KL divergence to the original on
// held-out text.
//
//   frugal_rounding_bench FOLDER CALIBRATION_GLOB HELD_OUT_FILE [GRID[=RECIPE]...]
//
// 64 calibration windows of 256 tokens spread over the text, 60 held-out windows; decoder matrices
// only (rounding.md). One line per grid and recipe, each of which can be repeated with the
// arguments it prints.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "base/process.h"
#include "layerwise/calibration.h"
#include "layerwise/walk.h"
#include "model/decoder.h"
#include "passes/quantize/grid_solver.h"

namespace frugal {
namespace {

struct Recipe {
  const char* name;
  passes::RoundingMethod method;
  bool dynamic;
  int sweeps;
  double asymmetry;
};
using passes::RoundingMethod;
constexpr Recipe kRecipes[] = {{"rtn", RoundingMethod::kRoundToNearest, true, 0, 0},
                               {"gptq static", RoundingMethod::kGptq, false, 0, 0},
                               {"gptq dynamic", RoundingMethod::kGptq, true, 0, 0},
                               {"gptq + finish", RoundingMethod::kGptq, true, 3, 0},
                               {"P 0.5", RoundingMethod::kGptq, true, 3, 0.5},
                               {"P 1", RoundingMethod::kGptq, true, 3, 1}};

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
  for (int64_t layer = 0; layer < decoder.config().layer_count; ++layer) {
    FRUGAL_ASSIGN_OR_RETURN(const auto stored, store.read(layer));
    for (const model::Stage& stage : decoder.stages()) {
      for (const std::string& matrix : stage.matrices) {
        const std::string name = model::weight_name(layer, matrix);
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

absl::Status measure(const format::Checkpoint& model, const model::Decoder& original,
                     const text::Windows& calibration, const text::Windows& held_out,
                     const std::string& grid, const Recipe& recipe) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / "frugal-rounding-bench";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  const layerwise::LayerStore store(folder, "bench");
  passes::GridSolverOptions options;
  options.grid = grid;
  options.layer_count = model.config().layer_count;
  options.method = recipe.method;
  options.calibrated = true;
  options.asymmetry = {recipe.asymmetry, recipe.asymmetry};
  options.gptq = {.dynamic_scales = recipe.dynamic,
                  .sweeps = recipe.sweeps,
                  .refits = recipe.sweeps > 0 ? 2 : 0};
  passes::GridSolver solver(options, store);
  const double start = base::cpu_seconds();
  FRUGAL_RETURN_IF_ERROR(layerwise::walk(model, calibration, {}, solver));
  const double span = base::cpu_seconds() - start;
  model::Decoder changed = original.clone();
  FRUGAL_RETURN_IF_ERROR(take_weights(store, grid, changed));
  std::printf("%-8s %-14s KLD %.5f  %6.1f CPU s\n", grid.c_str(), recipe.name,
              divergence(original, changed, held_out), span);
  std::fflush(stdout);
  std::filesystem::remove_all(folder);
  return absl::OkStatus();
}

absl::Status run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 3)
    return base::invalid_argument("usage: FOLDER CALIBRATION_GLOB HELD_OUT_FILE [GRID...]");
  FRUGAL_ASSIGN_OR_RETURN(const format::Checkpoint model, format::Checkpoint::open(arguments[0]));
  FRUGAL_ASSIGN_OR_RETURN(const text::Windows calibration, windows(model, arguments[1], 64));
  FRUGAL_ASSIGN_OR_RETURN(const text::Windows held_out, windows(model, arguments[2], 60));
  FRUGAL_ASSIGN_OR_RETURN(const model::Decoder original, model::Decoder::load(model, {}));
  std::vector<std::string> grids(arguments.begin() + 3, arguments.end());
  if (grids.empty()) grids = {"q4_0", "iq4_nl", "q4_k", "q8_0"};
  std::printf("%s, %d thread(s)\n", arguments[0].c_str(), at::get_num_threads());
  for (const std::string& wish : grids) {
    const size_t split = wish.find('=');
    for (const Recipe& recipe : kRecipes) {
      if (split != std::string::npos && wish.substr(split + 1) != recipe.name) continue;
      FRUGAL_RETURN_IF_ERROR(
          measure(model, original, calibration, held_out, wish.substr(0, split), recipe));
    }
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace frugal

int main(int count, char** values) {
  const absl::Status status = frugal::run({values + 1, values + count});
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
