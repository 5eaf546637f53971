#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "base/random.h"
#include "base/text.h"
#include "figures.h"
#include "format/checkpoint.h"
#include "grid/grid.h"
#include "kernels/cuda_module.h"
#include "kernels/sweep.h"
#include "layerwise/rounding/gptq.h"
#include "layerwise/rounding/gptq_device.h"
#include "layerwise/rounding/order.h"
#include "layerwise/walk/walk.h"
#include "model/decoder.h"
#include "parts.h"
#include "stopwatch.h"
#include "support/shared_data.h"
#include "tensor/aten.h"
#include "tensor/device.h"
#include "tensor/guard.h"
#include "tensor/precision.h"

namespace frugal::bench {
namespace {

using layerwise::DriftForm;
using layerwise::InputStatistics;
using layerwise::Needs;
using layerwise::StageProblem;

constexpr int64_t kHeadSize = 64, kVocabulary = 1024;
constexpr const char* kGrids[] = {"q4_0", "int4:g32:asym", "q4_k"};

// What the device reaches on large products and copies; the measure of everything else.
struct Limits {
  double fp32 = 0, tf32 = 0, fp64 = 0;  // FLOP/s
  double copy = 0;                      // bytes/s read and written
};

double product_rate(const at::Device& device, at::ScalarType type, bool tf32) {
  const tensor::Float32MatmulScope scope(tf32);
  const int64_t n = device.is_cpu() ? 1024 : 8192;
  const at::Tensor a = at::ones({n, n}, at::device(device).dtype(type));
  at::Tensor out = at::empty_like(a);
  const auto cube = static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n);
  return 2 * cube / median_seconds(device, [&] { at::mm_out(out, a, a); });
}

double copy_rate(const at::Tensor& from, at::Tensor to, double times) {
  const at::Device device = from.is_cpu() ? to.device() : from.device();
  const double seconds = median_seconds(device, [&] { to.copy_(from, /*non_blocking=*/true); });
  return times * static_cast<double>(from.nbytes()) / seconds;
}

Limits measure_limits(const at::Device& device) {
  Limits limits;
  limits.fp32 = product_rate(device, at::kFloat, false);
  figure("limit: fp32 products", limits.fp32 / 1e12, "TFLOP/s");
  limits.tf32 = limits.fp32;
  if (!device.is_cpu()) {
    limits.tf32 = product_rate(device, at::kFloat, true);
    figure("limit: TF32 products", limits.tf32 / 1e12, "TFLOP/s");
  }
  limits.fp64 = product_rate(device, at::kDouble, false);
  figure("limit: fp64 products", limits.fp64 / 1e12, "TFLOP/s");
  const int64_t bytes = int64_t{device.is_cpu() ? 64 : 512} << 20;
  const at::Tensor there = at::zeros({bytes}, at::device(device).dtype(at::kByte));
  limits.copy = copy_rate(there, at::empty_like(there), 2);
  figure("limit: copies in memory", limits.copy / 1e9, "GB/s", "read and written");
  if (device.is_cpu()) return limits;
  const at::Tensor here =
      at::zeros({bytes}, at::TensorOptions().dtype(at::kByte).pinned_memory(true));
  figure("limit: host to device", copy_rate(here, there, 1) / 1e9, "GB/s", "page-locked memory");
  figure("limit: device to host", copy_rate(there, here, 1) / 1e9, "GB/s", "page-locked memory");
  return limits;
}

// "12.3 TFLOP/s, 45% of fp32 products".
std::string rate_note(double flop, double seconds, double limit, std::string_view of) {
  return base::str_cat(digits(flop / seconds / 1e12), " TFLOP/s, ",
                       digits(100 * flop / seconds / limit), "% of ", of);
}

// Gathers what a stage's solver would, and keeps it; hands on weights that make the streams differ
// where a drift is asked for.
class Gathering final : public layerwise::StageSolver {
 public:
  Gathering(Needs needs, DriftForm drift) : needs_(needs), drift_(drift) {}
  Needs needs(const architecture::StageRef&) const override { return needs_; }
  DriftForm drift_form() const override { return drift_; }
  absl::StatusOr<at::Tensor> solve(const StageProblem& problem) override {
    seen_[problem.at.stage] = problem;
    return drift_ == DriftForm::kNone ? at::Tensor() : problem.weights * 0.99;
  }
  absl::Status store_layer(int64_t) override { return absl::OkStatus(); }
  absl::StatusOr<bool> has_stored(int64_t) override { return false; }
  absl::StatusOr<at::Tensor> restore(const StageProblem&) override { return at::Tensor(); }

  const std::map<size_t, StageProblem>& seen() const { return seen_; }

 private:
  Needs needs_;
  DriftForm drift_;
  std::map<size_t, StageProblem> seen_;
};

class LayerTimer {
 public:
  LayerTimer(const LayerOptions& options, const at::Device& device)
      : options_(options), device_(device) {}

  absl::Status run() {
    FRUGAL_RETURN_IF_ERROR(
        tensor::guarded("the device's limits", [&] { limits_ = measure_limits(device_); }));
    FRUGAL_RETURN_IF_ERROR(make_model());
    FRUGAL_RETURN_IF_ERROR(time_walks());
    for (const StageProblem& problem : problems_)
      FRUGAL_RETURN_IF_ERROR(tensor::guarded(problem.where, [&] { return time_solver(problem); }));
    return absl::OkStatus();
  }

 private:
  absl::Status make_model() {
    const int64_t heads = std::max<int64_t>(1, options_.width / kHeadSize);
    const base::Json json = {{"architectures", {"LlamaForCausalLM"}},
                             {"model_type", "llama"},
                             {"vocab_size", kVocabulary},
                             {"hidden_size", options_.width},
                             {"intermediate_size", options_.neurons},
                             {"num_hidden_layers", 1},
                             {"num_attention_heads", heads},
                             {"num_key_value_heads", std::max<int64_t>(1, heads / 4)},
                             {"max_position_embeddings", options_.window},
                             {"rms_norm_eps", 1e-5},
                             {"rope_theta", 10000.0},
                             {"tie_word_embeddings", true}};
    FRUGAL_ASSIGN_OR_RETURN(const auto config,
                            architecture::parse_model_config(json, "the layer to be timed"));
    FRUGAL_ASSIGN_OR_RETURN(const auto decoder, model::Decoder::create(config, 1, at::kCPU));
    std::filesystem::create_directories(folder_.path() / "model");
    FRUGAL_RETURN_IF_ERROR(decoder.save(folder_.path() / "model", format::DType::kBF16));
    base::RandomStream random(1, "bench/layer");
    windows_.count = std::max<int64_t>(1, options_.tokens / options_.window);
    windows_.length = options_.window;
    windows_.text_sha256 = "random";
    for (int64_t i = 0; i < windows_.count * windows_.length; ++i)
      windows_.ids.push_back(static_cast<text::TokenId>(random.below(kVocabulary)));
    return absl::OkStatus();
  }

  int64_t tokens() const { return windows_.count * windows_.length; }

  // Of the forward through the stages whose outputs are read (all but the last matrix).
  double forward_flop() const {
    double flop = 0;
    for (const auto& [stage, problem] : seen_) {
      if (stage + 1 == seen_.size()) continue;
      flop += 2.0 * static_cast<double>(tokens() * problem.weights.numel());
    }
    const auto attention = static_cast<double>(tokens() * windows_.length * options_.width);
    return flop + 2 * attention;  // queries times keys and weights times values, half of each
  }
  double moment_flop() const {
    double flop = 0;
    for (const auto& [stage, problem] : seen_) {
      const auto columns = static_cast<double>(problem.weights.size(1));
      flop += 2 * static_cast<double>(tokens()) * columns * columns;
    }
    return flop;
  }

  absl::StatusOr<double> time_walk(Needs needs, DriftForm drift, model::Precision precision) {
    FRUGAL_ASSIGN_OR_RETURN(const auto checkpoint,
                            format::Checkpoint::open(folder_.path() / "model"));
    absl::Status status;
    Gathering solver(needs, drift);
    const double seconds = median_seconds(device_, [&] {
      status.Update(layerwise::walk(
          checkpoint, windows_, {.device = device_, .precision = precision, .title = ""}, solver));
    });
    FRUGAL_RETURN_IF_ERROR(status);
    seen_ = solver.seen();
    return seconds;
  }

  absl::Status time_walks() {
    const std::string size = base::str_cat("walk, ", tokens(), " tokens: ");
    const std::string products = device_.is_cpu() ? "fp32 products" : "TF32 products";
    FRUGAL_ASSIGN_OR_RETURN(const double forward, time_walk(Needs::kMoments, DriftForm::kNone,
                                                            model::Precision::kRounded));
    figure(size + "forward, rounded", forward * 1e3, "ms",
           rate_note(forward_flop(), forward, limits_.tf32, products));
    for (const model::Precision precision :
         {model::Precision::kRounded, model::Precision::kFloat32}) {
      const bool rounded = precision == model::Precision::kRounded;
      FRUGAL_ASSIGN_OR_RETURN(const double seconds,
                              time_walk(Needs::kHessian, DriftForm::kNone, precision));
      figure(
          size + "and second moments, " + (rounded ? "rounded" : "fp32"), seconds * 1e3, "ms",
          rate_note(forward_flop() + moment_flop(), seconds, rounded ? limits_.tf32 : limits_.fp32,
                    rounded ? products : std::string("fp32 products")));
    }
    FRUGAL_ASSIGN_OR_RETURN(const double drift, time_walk(Needs::kHessian, DriftForm::kOutputs,
                                                          model::Precision::kRounded));
    figure(size + "and drift, rounded", drift * 1e3, "ms", "what `fast` asks for");
    FRUGAL_RETURN_IF_ERROR(
        time_walk(Needs::kHessian, DriftForm::kNone, model::Precision::kFloat32).status());
    for (const auto& [stage, problem] : seen_) {  // the largest of the layer
      if (stage + 2 >= seen_.size()) problems_.push_back(problem);
    }
    return absl::OkStatus();
  }

  absl::Status time_solver(const StageProblem& problem) {
    const auto columns = problem.weights.size(1);
    const at::Tensor natural = at::arange(columns, at::kLong);
    const at::Tensor hessian = problem.statistics.hessian.to(device_);
    absl::Status status;
    const double seconds = median_seconds(
        device_, [&] { status.Update(layerwise::factorize(hessian, natural, {}).status()); });
    FRUGAL_RETURN_IF_ERROR(status);
    const auto n = static_cast<double>(columns);
    figure(base::str_cat("factorization, ", columns, " columns"), seconds * 1e3, "ms",
           rate_note(2 * n * n * n / 3, seconds, limits_.fp64, "fp64 products"));
    for (const char* const name : kGrids) FRUGAL_RETURN_IF_ERROR(time_grid(problem, hessian, name));
    return absl::OkStatus();
  }

  absl::Status time_grid(const StageProblem& problem, const at::Tensor& hessian, const char* name) {
    const at::Tensor& weights = problem.weights;
    const at::Tensor& importance = problem.statistics.mean_square;
    const std::string what =
        base::str_cat(name, " ", weights.size(0), " x ", weights.size(1), ": ");
    FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(name, weights.size(1)));
    const at::Tensor order = layerwise::column_order(importance, grid->spec().block_columns,
                                                     layerwise::ColumnOrder::kGroupAware);
    FRUGAL_ASSIGN_OR_RETURN(const layerwise::Factor factor,
                            layerwise::factorize(hessian, order, {}));
    const at::Tensor there = weights.to(device_);
    grid::QuantizedMatrix matrix = grid::empty_matrix(grid, weights.size(0), weights.size(1));
    const double search =
        median_seconds(at::kCPU, [&] { fit_on_cpu(weights, importance, matrix); });
    figure(what + "scale search of all blocks, CPU", search * 1e3, "ms",
           base::str_cat(digits(static_cast<double>(weights.numel()) / search / 1e6),
                         " million weights/s"));
    if (device_.is_cpu()) {
      const layerwise::GptqOptions plain{.sweeps = 0, .refits = 0};
      const double sweep =
          median_seconds(device_, [&] { layerwise::gptq(there, importance, factor, grid, plain); });
      report_sweep(what + "sweep with scale search", sweep, weights);
    } else {
      time_device_sweeps(what, there, importance, factor, matrix);
    }
    if (std::string_view(name) != "q4_0") return absl::OkStatus();
    const double finish = median_seconds(
        at::kCPU,
        [&] { layerwise::refine_codes(weights, factor, {.sweeps = 1, .refits = 1}, matrix); },
        /*runs=*/1);
    figure(what + "finish, one sweep and refit, CPU", finish * 1e3, "ms",
           "`fast` makes eight and four");
    return absl::OkStatus();
  }

  void time_device_sweeps(const std::string& what, const at::Tensor& weights,
                          const at::Tensor& importance, const layerwise::Factor& factor,
                          grid::QuantizedMatrix& matrix) const {
    const FrugalCudaModule& module = *kernels::cuda_module().table;
    const auto time = [&](bool dynamic) {
      return median_seconds(device_, [&] {
        layerwise::sweep_on_device(weights, importance, factor, matrix, dynamic, module);
      });
    };
    const double fixed = time(false), dynamic = time(true);
    report_sweep(what + "sweep, scales given", fixed, weights);
    report_sweep(what + "sweep with scale search", dynamic, weights);
    figure(what + "scale search inside the sweep", (dynamic - fixed) * 1e3, "ms",
           base::str_cat(digits(static_cast<double>(weights.numel()) / (dynamic - fixed) / 1e6),
                         " million weights/s"));
  }

  // flop: 2 for each weight and later column. bytes: of the windows' products alone, which read and
  // write all columns behind each of 128, and U once.
  void report_sweep(const std::string& name, double seconds, const at::Tensor& weights) const {
    const auto rows = static_cast<double>(weights.size(0)),
               columns = static_cast<double>(weights.size(1));
    const double bytes = 4 * columns * columns * (rows / 128 + 0.5);
    figure(
        name, seconds * 1e3, "ms",
        base::str_cat(rate_note(rows * columns * columns, seconds, limits_.fp32, "fp32 products"),
                      "; ", digits(bytes / seconds / 1e9), " GB/s, ",
                      digits(100 * bytes / seconds / limits_.copy), "% of copies"));
  }

  static void fit_on_cpu(const at::Tensor& weights, const at::Tensor& importance,
                         grid::QuantizedMatrix& matrix) {
    const at::Tensor by_column = importance.to(at::kFloat).contiguous();
    kernels::fit_blocks(
        {.grid = matrix.grid.get(),
         .rows = matrix.rows,
         .width = matrix.columns,
         .weights = weights.const_data_ptr<float>(),
         .weights_stride = matrix.columns,
         .importance = by_column.const_data_ptr<float>(),
         .parameters = matrix.parameters.data(),
         .parameters_stride = matrix.blocks_per_row() * matrix.grid->spec().parameter_bytes});
  }

  const LayerOptions& options_;
  at::Device device_;
  Limits limits_;
  test::TemporaryFolder folder_;
  text::Windows windows_;
  std::map<size_t, StageProblem> seen_;
  std::vector<StageProblem> problems_;
};

}  // namespace

absl::Status time_layer(const LayerOptions& options) {
  FRUGAL_ASSIGN_OR_RETURN(const at::Device device, tensor::open_device(options.device));
  if (!device.is_cpu() && !kernels::cuda_available())
    return base::not_found("the sweep's kernels: ", kernels::cuda_problem());
  const at::NoGradGuard no_grad;
  return LayerTimer(options, device).run();
}

}  // namespace frugal::bench
