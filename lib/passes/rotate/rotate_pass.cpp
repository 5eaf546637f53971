// Tested by: tests/passes/rotate_test.cpp
#include "passes/rotate/rotate_pass.h"

#include <cmath>
#include <string>
#include <vector>

#include "architecture/stages.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "base/text.h"
#include "format/slices.h"
#include "layerwise/transform/rotation.h"
#include "layerwise/walk/calibration.h"
#include "layerwise/walk/estimate.h"
#include "layerwise/walk/passive_solver.h"
#include "model/decoder.h"
#include "model/products.h"
#include "passes/common/calibration_options.h"
#include "passes/common/machine_speed.h"
#include "passes/common/text_checks.h"
#include "passes/common/zeros.h"
#include "passes/rotate/rotate_weights.h"
#include "tensor/aten.h"
#include "tensor/device.h"
#include "tensor/guard.h"
#include "tensor/tiles.h"
#include "tensor/transfer.h"

namespace frugal::passes {
namespace {

class RotatePass final : public pass::Pass {
 public:
  const pass::PassInfo& info() const override {
    static const pass::PassInfo info{
        .name = "rotate",
        .version = 2,
        .summary =
            "Rotates the residual stream and the value heads by orthogonal matrices: an equivalent "
            "model without outlier channels, or, with kind pca, one whose channels can be pruned."};
    return info;
  }

  void visit_options(pass::OptionVisitor& visitor) override {
    visitor.field(
        {.name = "residual",
         .help = "Rotate the residual stream; norm gains go into the matrices behind them, "
                 "and a tied head becomes a matrix of its own."},
        residual_);
    visitor.field({.name = "heads", .help = "Rotate every value head, layer by layer."}, heads_);
    visitor.field(
        {.name = "kind",
         .help = "hadamard spreads each channel evenly over all (random signs); orthogonal "
                 "is uniform over all rotations; pca rotates the residual stream to its "
                 "principal directions on the calibration text, the largest first, for "
                 "prune to take channels away (value heads then go by hadamard).",
         .choices = {"hadamard", "orthogonal", "pca"}},
        kind_);
    visitor.field({.name = "seed", .help = "Which draw of the rotations.", .minimum = 0}, seed_);
    visitor.field(
        {.name = "dtype",
         .help = "Type of the changed weights: f32, in which the result is equivalent, or "
                 "keep, which rounds them back to the input's type.",
         .choices = {"f32", "keep"}},
        dtype_);
    visitor.field({.name = "calibration",
                   .help = "pca: text whose activations are used; where none is given self, "
                           "text that the model writes."},
                  calibration_);
    visit_windows(visitor, windows_);
  }

  std::vector<ImpliedData> implied_data() const override {
    if (calibration() == calibration_) return {};
    return {{"calibration", pass::kSelfData}};
  }

  absl::Status check(pass::CheckContext& context, pass::ModelInfo& model) const override;
  absl::Status run(pass::RunContext& context) const override;

 private:
  pass::DataReference calibration() const {
    const bool implied = calibration_.name.empty() && kind_ == "pca";
    return implied ? pass::DataReference{std::string(pass::kSelfData)} : calibration_;
  }
  RotateOptions options() const {
    return {.residual = residual_,
            .heads = heads_,
            .kind = kind_ == "orthogonal" ? layerwise::RotationKind::kOrthogonal
                                          : layerwise::RotationKind::kHadamard,
            .seed = static_cast<uint64_t>(seed_)};
  }

  absl::StatusOr<int64_t> walk_bytes_of(const architecture::ModelConfig& config,
                                        const layerwise::CalibrationPlan& calibration) const;
  absl::StatusOr<layerwise::CalibrationPlan> check_calibration(pass::CheckContext& context,
                                                               const pass::ModelInfo& model) const;
  absl::StatusOr<at::Tensor> principal_directions(pass::RunContext& context) const;

  bool residual_ = true;
  bool heads_ = true;
  std::string kind_ = "hadamard";
  int64_t seed_ = 1;
  std::string dtype_ = "f32";
  pass::DataReference calibration_;
  layerwise::CalibrationOptions windows_;
};

absl::StatusOr<layerwise::CalibrationPlan> RotatePass::check_calibration(
    pass::CheckContext& context, const pass::ModelInfo& model) const {
  if (kind_ != "pca") {
    if (calibration_.name.empty()) return layerwise::CalibrationPlan{};
    return base::invalid_argument(
        "rotate: only kind pca looks at text; leave calibration out for kind ", kind_);
  }
  if (!residual_) {
    return base::invalid_argument(
        "rotate: kind pca is about the residual stream, and residual is false");
  }
  return check_windows(context, "rotate", model, calibration(), windows_);
}

// Of the walk that looks at the residual stream: its own second moment beside the activations.
absl::StatusOr<int64_t> RotatePass::walk_bytes_of(
    const architecture::ModelConfig& config, const layerwise::CalibrationPlan& calibration) const {
  if (calibration.tokens() == 0) return 0;
  const int64_t moment = 8 * config.hidden_size * config.hidden_size;
  layerwise::WalkDemand demand = walk_demand(windows_, calibration);
  demand.needs = layerwise::Needs::kNothing;
  FRUGAL_ASSIGN_OR_RETURN(
      const layerwise::WalkMemory memory,
      layerwise::walk_memory(config, demand, [&](const auto&) { return 2 * moment; }));
  return std::max(memory.total(), writing_memory(config, calibration));
}

absl::Status RotatePass::check(pass::CheckContext& context, pass::ModelInfo& model) const {
  if (!model.grids.empty()) {
    return base::invalid_argument("rotate: '", model.name,
                                  "' is quantized already; rotate first, quantize afterwards");
  }
  if (!residual_ && !heads_) {
    return base::invalid_argument(
        "rotate: residual and heads are both false; nothing would change");
  }
  FRUGAL_ASSIGN_OR_RETURN(const RotationRoles roles, rotation_roles(model.config, options()));
  lose_zeros(
      context, "rotate", model, [&](const std::string& weight) { return roles.contains(weight); },
      "rotated weights are sums of all others, and the zeros are lost; rotate first, prune "
      "afterwards");
  FRUGAL_ASSIGN_OR_RETURN(const layerwise::CalibrationPlan calibration,
                          check_calibration(context, model));
  const int64_t tokens = calibration.tokens();
  const double walk_operations =
      tokens > 0
          ? layerwise::estimate_walk_operations(model.config, tokens, false) +
                layerwise::estimate_attention_operations(model.config, tokens, calibration.length)
          : 0;
  const at::Device device(context.device());
  const std::optional<double> walking =
      with_writing(seconds_of(walk_operations, walk_speed(windows_.products(), device)),
                   model.config, calibration, device);
  FRUGAL_ASSIGN_OR_RETURN(const int64_t walk_bytes, walk_bytes_of(model.config, calibration));
  const auto parameters = static_cast<double>(model.config.parameter_count());
  model.config = rotated_config(model.config, options());
  const auto width = static_cast<double>(model.config.hidden_size);
  const auto rotated = static_cast<double>(model.config.parameter_count());
  model.size_bytes =
      static_cast<int64_t>(static_cast<double>(model.size_bytes) * rotated / parameters);
  if (dtype_ == "f32") {
    model.dtype = "F32";
    model.size_bytes = 4 * model.config.parameter_count();
  }
  const int64_t side = model.config.hidden_size;
  const int64_t matrix = side * std::max(model.config.layers.front().feed_forward.width, side);
  const std::optional<double> doubles = product_speed(Arithmetic::kFloat64, device);
  std::optional<double> seconds = seconds_of(2 * rotated * width, doubles);
  if (seconds && walking) *seconds += *walking;
  context.estimate(
      {.seconds = seconds,
       .peak_memory_bytes =
           layerwise::process_memory() + std::max(walk_bytes, 8 * (3 * side * side + 4 * matrix)),
       .output_bytes = model.size_bytes,
       .basis = base::str_cat("products in fp64 ", speed_text(doubles), "; one matrix in memory")});
  return absl::OkStatus();
}

// The largest weight over the root mean square, mean over the matrices of the layers: what a grid
// with one scale for many weights suffers from.
class Peaks {
 public:
  void add(const at::Tensor& weights) {
    double square = 0;
    tensor::for_each_tile(1, [&](int64_t) {  // serial: one order of additions
      square = weights.to(at::kDouble).square().mean().item<double>();
    });
    if (square == 0) return;
    sum_ += weights.abs().max().item<double>() / std::sqrt(square);
    ++count_;
  }
  std::optional<double> mean() const {
    return count_ > 0 ? std::optional<double>(sum_ / static_cast<double>(count_)) : std::nullopt;
  }

 private:
  double sum_ = 0;
  int64_t count_ = 0;
};

struct Written {
  Peaks before, after;
  int64_t pruned = 0;  // matrices whose zeros went
  double orthogonality_error = 0;
};

// A tensor as it is, in the type that it was declared with.
absl::Status copy_tensor(const format::Checkpoint& input,
                         const format::CheckpointWriter::Tensor& tensor,
                         format::CheckpointWriter& writer) {
  FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, input.info(tensor.name));
  if (info.dtype == tensor.dtype) {
    FRUGAL_ASSIGN_OR_RETURN(const auto bytes, input.bytes(tensor.name));
    return writer.write(tensor.name, bytes);
  }
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<float> values, input.values(tensor.name));
  return writer.write_values(tensor.name, values);
}

absl::Status write_rotated(const format::Checkpoint& input,
                           const std::vector<format::CheckpointWriter::Tensor>& tensors,
                           const RotationRoles& roles, const RotateOptions& options,
                           Written& written, format::CheckpointWriter& writer) {
  WeightRotator rotator(input, options);
  const auto places = architecture::places(rotated_config(input.config(), options));
  base::Progress progress("rotate", "tensors", static_cast<int64_t>(tensors.size()));
  for (const format::CheckpointWriter::Tensor& tensor : tensors) {
    FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
    progress.advance();
    const auto role = roles.find(tensor.name);
    if (role == roles.end()) {
      FRUGAL_RETURN_IF_ERROR(copy_tensor(input, tensor, writer));
      continue;
    }
    FRUGAL_ASSIGN_OR_RETURN(const at::Tensor value, rotator.rotated(tensor.name, role->second));
    if (places.at(tensor.name).layer != architecture::kNoLayer && value.dim() == 2) {
      FRUGAL_ASSIGN_OR_RETURN(const at::Tensor original,
                              tensor::load(input, tensor.name, at::kFloat, at::kCPU));
      FRUGAL_RETURN_IF_ERROR(tensor::guarded(tensor.name, [&] {
        const auto zeros = static_cast<double>(original.eq(0).sum().item<int64_t>());
        if (zeros >= kPrunedShare * static_cast<double>(original.numel())) ++written.pruned;
        written.before.add(original);
        written.after.add(value);
      }));
    }
    FRUGAL_RETURN_IF_ERROR(tensor::write(writer, tensor.name, value));
  }
  written.orthogonality_error = rotator.orthogonality_error();
  return absl::OkStatus();
}

void report(pass::RunContext& context, const Written& written) {
  if (written.pruned > 0) {
    context.warn(base::str_cat("rotate: ", written.pruned,
                               " matrices came with zeros, as from prune, which rotating has "
                               "filled; rotate first, prune afterwards"));
  }
  context.statistic({.name = "orthogonality_error",
                     .value = written.orthogonality_error,
                     .help = "Largest element of QᵀQ - I over all rotations, fp64."});
  context.statistic(
      {.name = "weight_max_to_rms_before",
       .value = written.before.mean(),
       .help = "Largest weight over root mean square, mean over the layers' matrices."});
  context.statistic({.name = "weight_max_to_rms",
                     .value = written.after.mean(),
                     .help = "The same after rotating."});
}

// Second moments of the residual stream over its norm, without gains, before every layer and behind
// the last: what one rotation for all of them can know.
absl::StatusOr<at::Tensor> RotatePass::principal_directions(pass::RunContext& context) const {
  const format::Checkpoint& input = *context.input();
  const architecture::ModelConfig& config = input.config();
  FRUGAL_ASSIGN_OR_RETURN(const at::Device device, tensor::open_device(context.device()));
  FRUGAL_ASSIGN_OR_RETURN(const text::DataSource source, context.data(calibration()));
  FRUGAL_ASSIGN_OR_RETURN(const auto plan, layerwise::plan_calibration(config, source, windows_));
  FRUGAL_ASSIGN_OR_RETURN(const text::Windows windows,
                          load_windows(context, input, device, "rotate", source, plan));
  const model::LayerRunner runner(config);
  warn_of_fewer_windows(context, "rotate", windows, windows_.windows);
  model::ProductSum sum(/*symmetric=*/true);
  const auto add = [&](const std::vector<at::Tensor>& chunks) {
    for (const at::Tensor& chunk : chunks) {
      const at::Tensor x = runner.normalize(chunk).reshape({-1, config.hidden_size});
      const model::TokenFactor factor(x, windows_.products());
      sum.add(factor, factor);
    }
  };
  layerwise::WalkOptions walk = walk_options(windows_, device, "rotate", context);
  walk.observe = [&](int64_t layer, const std::vector<at::Tensor>& before,
                     const std::vector<at::Tensor>& after) {
    add(before);
    if (layer + 1 == config.layer_count()) add(after);
  };
  layerwise::PassiveSolver observer;
  FRUGAL_RETURN_IF_ERROR(layerwise::walk(input, windows, walk, observer));
  return tensor::guarded("principal directions",
                         [&] { return layerwise::principal_rotation(sum.take()); });
}

absl::Status RotatePass::run(pass::RunContext& context) const {
  const format::Checkpoint& input = *context.input();
  RotateOptions settings = options();
  if (kind_ == "pca") {
    FRUGAL_ASSIGN_OR_RETURN(settings.stream, principal_directions(context));
  }
  FRUGAL_ASSIGN_OR_RETURN(const RotationRoles roles, rotation_roles(input.config(), settings));
  const architecture::ModelConfig config = rotated_config(input.config(), settings);
  std::vector<format::CheckpointWriter::Tensor> tensors;
  for (const architecture::Tensor& expected : architecture::tensors(config)) {
    const bool is_new = !input.has(expected.name);  // the head of a tied model
    FRUGAL_ASSIGN_OR_RETURN(
        const format::TensorInfo info,
        input.info(is_new ? architecture::tensor_name(config, architecture::Role::kEmbedding)
                          : expected.name));
    const bool widen = dtype_ == "f32" && roles.contains(expected.name);
    tensors.push_back({expected.name, widen ? format::DType::kF32 : info.dtype, expected.shape});
  }
  format::widen_fused(config, tensors);
  FRUGAL_ASSIGN_OR_RETURN(
      format::CheckpointWriter writer,
      format::CheckpointWriter::create(context.output_folder(), config, tensors));
  Written written;
  FRUGAL_RETURN_IF_ERROR(write_rotated(input, tensors, roles, settings, written, writer));
  FRUGAL_RETURN_IF_ERROR(writer.copy_side_files(input));
  FRUGAL_RETURN_IF_ERROR(writer.finish());
  report(context, written);
  return absl::OkStatus();
}

}  // namespace

std::unique_ptr<pass::Pass> make_rotate_pass() { return std::make_unique<RotatePass>(); }

}  // namespace frugal::passes
