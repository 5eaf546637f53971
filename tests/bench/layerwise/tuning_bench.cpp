// What tuning after rounding is worth on a real model: KL divergence on held-out text and CPU
// seconds.
//
//   frugal_tuning_bench FOLDER TRAINING_GLOB HELD_OUT_FILE GRIDS [SETTING...]
//
// GRIDS: q4_0,iq4_nl,... Of 656 windows of 256 tokens spread over the training text 128 calibrate
// recipe P, 512 tune and 16 choose the step; 60 held-out windows judge. Each SETTING is one scale
// tuning from the same start, which the benchmark before it rounds:
// lr=3e-3,steps=100,offsets=1,sub_scales=1,windows=512 (what is left out has its default). Before
// SETTINGs: alpha=0.5 (alpha and beta of P).
#include <ATen/core/grad_mode.h>
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "layerwise/rounding/block_rounding.h"
#include "layerwise/rounding/gptq.h"
#include "layerwise/rounding/order.h"
#include "layerwise/rounding/pre_correct.h"
#include "layerwise/walk/calibration.h"
#include "layerwise/walk/walk.h"
#include "model/decoder.h"
#include "tensor/aten.h"
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

// Recipe P stage by stage, and learned rounding of each layer where there are iterations;
// everything in memory.
class RecipeSolver final : public layerwise::StageSolver {
 public:
  RecipeSolver(std::string grid, double alpha, int64_t iterations, int64_t layers)
      : grid_(std::move(grid)), alpha_(alpha), iterations_(iterations), layers_(layers) {}

  layerwise::Needs needs(const architecture::StageRef& at) const override {
    return at.layer < layers_ ? layerwise::Needs::kHessian : layerwise::Needs::kNothing;
  }
  layerwise::DriftForm drift_form() const override { return layerwise::DriftForm::kOutputs; }
  bool reconstructs_layers() const override { return iterations_ > 0; }

  absl::StatusOr<at::Tensor> solve(const layerwise::StageProblem& problem) override {
    FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(grid_, problem.weights.size(1)));
    const at::Tensor& hessian = problem.statistics.hessian;
    const at::Tensor order = layerwise::column_order(hessian.diagonal(), grid->spec().block_columns,
                                                     layerwise::ColumnOrder::kGroupAware);
    FRUGAL_ASSIGN_OR_RETURN(const auto factor, layerwise::factorize(hessian, order, {}));
    const at::Tensor target =
        layerwise::pre_correct(problem.weights, problem.drift, factor, {alpha_, alpha_});
    const auto rounded = layerwise::gptq(target, problem.statistics.mean_square, factor, grid, {});
    stages_.emplace_back();
    int64_t begin = 0;
    for (size_t i = 0; i < problem.names.size(); ++i) {
      const int64_t rows = problem.row_counts[i];
      stages_.back().push_back(
          {layerwise::take_rows(rounded.matrix, begin, rows), target.narrow(0, begin, rows)});
      names_.push_back(problem.names[i]);
      begin += rows;
    }
    return layerwise::decode(rounded.matrix);
  }

  absl::StatusOr<std::vector<at::Tensor>> reconstruct_layer(
      const layerwise::LayerProblem& problem) override {
    FRUGAL_ASSIGN_OR_RETURN(const auto result,
                            layerwise::round_block(problem, {.iterations = iterations_}, stages_));
    std::printf("  %s: error %.4g -> %.4g, best iteration %ld, %ld codes changed, %.0f s\n",
                problem.where.c_str(), result.before, result.after,
                static_cast<long>(result.best_iteration), static_cast<long>(result.changed_codes),
                result.seconds);
    return layerwise::stacked_weights(stages_);
  }

  absl::Status store_layer(int64_t) override {
    size_t next = 0;
    for (auto& stage : stages_) {
      for (auto& matrix : stage) matrices[names_[next++]] = std::move(matrix.matrix);
    }
    stages_.clear();
    names_.clear();
    return absl::OkStatus();
  }
  absl::StatusOr<bool> has_stored(int64_t) override { return false; }
  absl::StatusOr<at::Tensor> restore(const layerwise::StageProblem&) override {
    return base::internal("nothing is stored");
  }

  train::QuantizedMatrices matrices;

 private:
  std::string grid_;
  double alpha_;
  int64_t iterations_, layers_;
  layerwise::BlockLayer stages_;
  std::vector<std::string> names_;
};

// "lr=1e-2,steps=50" into options.
absl::Status parse_setting(const std::string& text, train::ScaleTuningOptions& options,
                           int64_t& windows) {
  for (const std::string& item : base::split(text, ',')) {
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

struct Material {
  format::Checkpoint model;
  Texts texts;
  model::Decoder original;
  double alpha = 0.5;
  int64_t iterations = 0;
};

// What tunings of a grid start from; made by the first benchmark of the grid that runs.
struct Start {
  train::QuantizedMatrices matrices;
  double divergence = 0;
};

absl::Status round(benchmark::State* state, const Material& material, const std::string& grid,
                   Start& start) {
  RecipeSolver solver(grid, material.alpha, material.iterations,
                      material.model.config().layer_count());
  const auto walk = [&] {
    const Texts& texts = material.texts;  // learned rounding chooses by windows not in H
    return layerwise::walk(material.model, layerwise::joined(texts.calibration, texts.validation),
                           {.held_out = texts.validation.count}, solver);
  };
  if (state == nullptr) FRUGAL_RETURN_IF_ERROR(walk());
  if (state != nullptr) {
    for (auto _ : *state) FRUGAL_RETURN_IF_ERROR(walk());
  }
  start.matrices = std::move(solver.matrices);
  model::Decoder changed = material.original;
  set_weights(start.matrices, changed);
  start.divergence = divergence(material.original, changed, material.texts.held_out);
  if (state != nullptr) state->counters["KLD"] = start.divergence;
  return absl::OkStatus();
}

absl::Status tune(benchmark::State& state, const Material& material, const std::string& grid,
                  Start& start, const std::string& setting) {
  if (start.matrices.empty()) FRUGAL_RETURN_IF_ERROR(round(nullptr, material, grid, start));
  train::ScaleTuningOptions options;
  const Texts& texts = material.texts;
  int64_t windows = texts.tuning.count;
  FRUGAL_RETURN_IF_ERROR(parse_setting(setting, options, windows));
  Windows tuning;
  for (int64_t i = 0; i < windows; ++i)
    take(texts.tuning, i * texts.tuning.count / windows, tuning);
  train::QuantizedMatrices matrices = start.matrices;
  model::Decoder student = material.original;
  train::ScaleTuningResult result;
  for (auto _ : state) {
    FRUGAL_ASSIGN_OR_RETURN(result, train::tune_scales(material.original, student, matrices, tuning,
                                                       texts.validation, options, {}, nullptr));
  }
  const double now = divergence(material.original, student, texts.held_out);
  state.counters["KLD"] = now;
  state.counters["of_start"] = now / start.divergence;
  state.counters["validation_before"] = result.validation.before;
  state.counters["validation_after"] = result.validation.after;
  state.counters["tuning_before"] = result.training.before;
  state.counters["tuning_after"] = result.training.after;
  state.counters["best_step"] = static_cast<double>(result.best_step);
  return absl::OkStatus();
}

template <typename Body>
void add(const std::string& title, Body body) {
  benchmark::RegisterBenchmark(title.c_str(),
                               [body](benchmark::State& state) {
                                 const absl::Status status = body(state);
                                 if (!status.ok()) state.SkipWithError(status.ToString().c_str());
                               })
      ->Iterations(1)
      ->Unit(benchmark::kSecond)
      ->MeasureProcessCPUTime();
}

absl::Status run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 4) {
    return base::invalid_argument("usage: FOLDER TRAINING_GLOB HELD_OUT_FILE GRIDS [SETTING...]");
  }
  FRUGAL_ASSIGN_OR_RETURN(format::Checkpoint model, format::Checkpoint::open(arguments[0]));
  FRUGAL_ASSIGN_OR_RETURN(Texts texts, load_texts(model, arguments[1], arguments[2]));
  FRUGAL_ASSIGN_OR_RETURN(model::Decoder original, model::Decoder::load(model, {}));
  Material material{std::move(model), std::move(texts), std::move(original)};
  std::vector<std::string> settings(arguments.begin() + 4, arguments.end());
  while (!settings.empty()) {
    const std::string& first = settings.front();
    if (first.starts_with("alpha=")) {
      material.alpha = std::strtod(first.c_str() + 6, nullptr);
    } else if (first.starts_with("block=")) {
      material.iterations = std::strtol(first.c_str() + 6, nullptr, 10);
    } else {
      break;
    }
    settings.erase(settings.begin());
  }
  std::map<std::string, Start> starts;
  for (const std::string& grid : base::split(arguments[3], ',')) {
    Start& start = starts[grid];
    add(grid + "/P", [&material, &start, grid](benchmark::State& state) {
      return round(&state, material, grid, start);
    });
    for (const std::string& setting : settings) {
      add(grid + "/" + setting, [&material, &start, grid, setting](benchmark::State& state) {
        return tune(state, material, grid, start, setting);
      });
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
