// What tuning after rounding is worth on a real model: KL divergence on held-out text and CPU
// seconds.
//
//   frugal_tuning_bench FOLDER TRAINING_GLOB HELD_OUT_FILE GRIDS [SETTING...]
//
// GRIDS: q4_0,iq4_nl,... Of 656 windows of 256 tokens spread over the training text 128 calibrate
// recipe P, 512 tune and 16 choose the step; 60 held-out windows judge. Each SETTING is one scale
// tuning from the same start: lr=3e-3,steps=100,offsets=1,sub_scales=1,windows=512 (what is left
// out has its default). Before SETTINGs: alpha=0.5 (alpha and beta of P).
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "base/process.h"
#include "base/text.h"
#include "layerwise/calibration.h"
#include "layerwise/walk.h"
#include "model/decoder.h"
#include "passes/quantize/grid_solver.h"
#include "train/scale_tuning.h"

namespace frugal {
namespace {

using text::Windows;

struct Texts {
  Windows calibration, tuning, validation, held_out;
};

absl::StatusOr<Windows> load(const format::Checkpoint& model, const std::string& glob,
                             int64_t count) {
  text::DataSource source;
  source.text = {glob};
  return layerwise::load_calibration(model, source, {.windows = count, .length = 256});
}

void take(const Windows& from, int64_t row, Windows& to) {
  to.length = from.length;
  ++to.count;
  to.ids.insert(to.ids.end(), from.ids.begin() + row * from.length,
                from.ids.begin() + (row + 1) * from.length);
}

absl::StatusOr<Texts> load_texts(const format::Checkpoint& model, const std::string& training,
                                 const std::string& held_out) {
  constexpr int64_t kDeals = 16;  // of 8 for calibration, 32 for tuning, 1 for validation
  FRUGAL_ASSIGN_OR_RETURN(const Windows all, load(model, training, 41 * kDeals));
  Texts texts;
  for (int64_t row = 0; row < all.count; ++row) {
    const int64_t place = row % 41;
    take(all, row,
         place == 40      ? texts.validation
         : place % 5 == 0 ? texts.calibration
                          : texts.tuning);
  }
  FRUGAL_ASSIGN_OR_RETURN(texts.held_out, load(model, held_out, 60));
  return texts;
}

double divergence(const model::Decoder& original, const model::Decoder& changed,
                  const Windows& text) {
  const at::NoGradGuard no_grad;
  const at::Tensor ids =
      at::tensor(text.ids, at::kInt).to(at::kLong).view({text.count, text.length});
  double sum = 0;
  for (int64_t i = 0; i < text.count; i += 4) {
    const model::Batch batch{.ids = ids.narrow(0, i, std::min<int64_t>(4, text.count - i))};
    const at::Tensor p = at::log_softmax(original.logits(batch), -1);
    sum += (p.exp() * (p - at::log_softmax(changed.logits(batch), -1))).sum().item<double>();
  }
  return sum / static_cast<double>(text.count * text.length);
}

absl::StatusOr<train::QuantizedMatrices> round_all(const format::Checkpoint& model,
                                                   const Windows& calibration,
                                                   passes::GridSolverOptions options) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / base::str_cat("frugal-tuning-bench-", getpid());
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  const layerwise::LayerStore store(folder, "bench");
  passes::GridSolver solver(options, store);
  FRUGAL_RETURN_IF_ERROR(layerwise::walk(model, calibration, {}, solver));
  train::QuantizedMatrices matrices;
  FRUGAL_ASSIGN_OR_RETURN(const auto stages, model::stages(model.config()));
  for (int64_t layer = 0; layer < model.config().layer_count; ++layer) {
    FRUGAL_ASSIGN_OR_RETURN(const auto stored, store.read(layer));
    for (const model::Stage& stage : stages) {
      for (const std::string& matrix : stage.matrices) {
        const std::string name = model::weight_name(layer, matrix);
        FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, model.info(name));
        FRUGAL_ASSIGN_OR_RETURN(matrices[name],
                                passes::GridSolver::stored_matrix(*stored, name, options.grid,
                                                                  info.shape[0], info.shape[1]));
      }
    }
  }
  std::filesystem::remove_all(folder);
  return matrices;
}

// "lr=1e-2,steps=50" into options.
absl::Status parse_setting(const std::string& text, train::ScaleTuningOptions& options,
                           int64_t& windows) {
  for (const auto part : base::split(text, ',')) {
    const std::string item(part);
    const size_t mark = item.find('=');
    if (mark == std::string::npos) return base::invalid_argument("'", item, "' is not key=value");
    const std::string key = item.substr(0, mark);
    const double value = std::strtod(item.c_str() + mark + 1, nullptr);
    if (key == "lr") {
      options.learning_rate = value;
    } else if (key == "steps") {
      options.steps = static_cast<int64_t>(value);
    } else if (key == "offsets") {
      options.parts.offsets = value != 0;
    } else if (key == "sub_scales") {
      options.parts.sub_scales = value != 0;
    } else if (key == "windows") {
      windows = static_cast<int64_t>(value);
    } else {
      return base::invalid_argument("unknown setting '", key, "'");
    }
  }
  return absl::OkStatus();
}

void set_weights(const train::QuantizedMatrices& matrices, model::Decoder& decoder) {
  for (const auto& [name, matrix] : matrices)
    decoder.set_parameter(name, layerwise::decode(matrix));
}

absl::Status measure(const model::Decoder& original, const Texts& texts, const std::string& grid,
                     const train::QuantizedMatrices& start, double start_divergence,
                     const std::string& setting) {
  train::ScaleTuningOptions options;
  int64_t windows = texts.tuning.count;
  FRUGAL_RETURN_IF_ERROR(parse_setting(setting, options, windows));
  Windows tuning;
  for (int64_t i = 0; i < windows; ++i)
    take(texts.tuning, i * texts.tuning.count / windows, tuning);
  train::QuantizedMatrices matrices = start;
  model::Decoder student = original;
  const double begin = base::cpu_seconds();
  FRUGAL_ASSIGN_OR_RETURN(const train::ScaleTuningResult result,
                          train::tune_scales(original, student, matrices, tuning, texts.validation,
                                             options, {}, nullptr));
  const double span = base::cpu_seconds() - begin;
  const double now = divergence(original, student, texts.held_out);
  std::printf(
      "%-8s %-28s KLD %.5f (%.3f of P)  validation %.5f -> %.5f  tuning %.5f -> %.5f  "
      "best step %ld  %.0f CPU s\n",
      grid.c_str(), setting.c_str(), now, now / start_divergence, result.validation.before,
      result.validation.after, result.training.before, result.training.after,
      static_cast<long>(result.best_step), span);
  std::fflush(stdout);
  return absl::OkStatus();
}

absl::Status run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 4) {
    return base::invalid_argument("usage: FOLDER TRAINING_GLOB HELD_OUT_FILE GRIDS [SETTING...]");
  }
  FRUGAL_ASSIGN_OR_RETURN(const format::Checkpoint model, format::Checkpoint::open(arguments[0]));
  FRUGAL_ASSIGN_OR_RETURN(const Texts texts, load_texts(model, arguments[1], arguments[2]));
  FRUGAL_ASSIGN_OR_RETURN(const model::Decoder original, model::Decoder::load(model, {}));
  std::vector<std::string> settings(arguments.begin() + 4, arguments.end());
  double alpha = 0.5;
  if (!settings.empty() && settings.front().starts_with("alpha=")) {
    alpha = std::strtod(settings.front().c_str() + 6, nullptr);
    settings.erase(settings.begin());
  }
  for (const auto part : base::split(arguments[3], ',')) {
    passes::GridSolverOptions options;
    options.grid = std::string(part);
    options.layer_count = model.config().layer_count;
    options.calibrated = true;
    options.asymmetry = {alpha, alpha};
    const double begin = base::cpu_seconds();
    FRUGAL_ASSIGN_OR_RETURN(const train::QuantizedMatrices start,
                            round_all(model, texts.calibration, options));
    const double span = base::cpu_seconds() - begin;
    model::Decoder changed = original;
    set_weights(start, changed);
    const double from = divergence(original, changed, texts.held_out);
    std::printf("%-8s P %-26.2g KLD %.5f  %.0f CPU s\n", options.grid.c_str(), alpha, from, span);
    std::fflush(stdout);
    for (const std::string& setting : settings) {
      FRUGAL_RETURN_IF_ERROR(measure(original, texts, options.grid, start, from, setting));
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
