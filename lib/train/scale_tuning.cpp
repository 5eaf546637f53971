#include "train/scale_tuning.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/text.h"
#include "tensor/aten.h"
#include "tensor/guard.h"
#include "train/batches.h"
#include "train/losses.h"
#include "train/optimizer.h"
#include "train/rounded_linear.h"
#include "train/scale_tuning_check.h"
#include "train/scale_tuning_record.h"
#include "train/schedule.h"
#include "train/state.h"
#include "train/window_states.h"

namespace frugal::train {
namespace {

using Clock = std::chrono::steady_clock;
using text::Windows;
constexpr const char* kTuningState = "scale-tuning.safetensors";

template <typename T>
std::string_view bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// What a resume file must agree with.
std::string fingerprint(const QuantizedMatrices& matrices, const Windows& tuning,
                        const Windows& validation, const ScaleTuningOptions& o) {
  const base::Json options = {
      o.steps,       o.tokens_per_step, o.learning_rate, o.warmup_steps,  o.beta1,
      o.beta2,       o.epsilon,         o.precision,     o.parts.offsets, o.parts.sub_scales,
      o.validations, o.chunk_tokens,    o.seed,          tuning.length,   validation.length};
  base::KeyHasher hasher;
  hasher.add(options.dump()).add(bytes_of(tuning.ids)).add(bytes_of(validation.ids));
  for (const auto& [name, matrix] : matrices) {
    hasher.add(name)
        .add(matrix.grid->spec().name)
        .add(bytes_of(matrix.codes))
        .add(bytes_of(matrix.parameters));
  }
  return hasher.hex();
}

// The model with the products that `precision` asks for.
model::Decoder with_precision(model::Decoder decoder, model::Precision precision) {
  const bool rounded = precision == model::Precision::kRounded;
  decoder.set_linear(rounded ? rounded_linear : nullptr);
  decoder.set_rounded_attention(rounded);
  return decoder;
}

struct TunedMatrix {
  std::string name;
  GroupScales scales;
  at::Tensor decoded;  // [R, in] fp32 CPU, the values of the last snap
};

class Tuner {
 public:
  Tuner(const model::Decoder& original, model::Decoder& student, const QuantizedMatrices& matrices,
        const Windows& tuning, const Windows& validation, const ScaleTuningOptions& options,
        const std::filesystem::path& folder, base::Progress* progress)
      : original_(original),
        student_(student),
        tuning_(tuning),
        validation_(validation),
        options_(options),
        windows_per_step_((options.tokens_per_step + tuning.length - 1) / tuning.length),
        progress_(progress),
        order_(tuning.count, options.seed),
        tuning_states_(with_precision(original, options.precision), tuning, options.cache_bytes),
        validation_states_(original, validation, options.cache_bytes),
        fingerprint_(fingerprint(matrices, tuning, validation, options)) {
    if (!folder.empty()) state_path_ = folder / kTuningState;
    tuned_.reserve(matrices.size());
    for (const auto& [name, matrix] : matrices) {
      tuned_.push_back({name, GroupScales(matrix, options.parts),
                        at::empty({matrix.rows, matrix.columns}, at::kFloat)});
    }
    factors_ = collect_factors();
    optimizer_.emplace(factors_, AdamWOptions{options.beta1, options.beta2, options.epsilon, 0.0});
    for (const auto& [name, factor] : factors_) result_.trained_parameters += factor.numel();
  }

  absl::StatusOr<ScaleTuningResult> run() {
    const Clock::time_point begin = Clock::now();
    FRUGAL_RETURN_IF_ERROR(resume());
    FRUGAL_RETURN_IF_ERROR(guarded("decoding the start", [&] { refresh(); }));
    if (result_.validations.empty()) FRUGAL_RETURN_IF_ERROR(measure_start());
    while (result_.steps < options_.steps) {
      FRUGAL_RETURN_IF_ERROR(
          base::annotate(step(), base::str_cat("scale tuning, step ", result_.steps + 1)));
      FRUGAL_RETURN_IF_ERROR(after_step());
    }
    FRUGAL_RETURN_IF_ERROR(guarded("the best scales", [&] { restore_best(); }));
    FRUGAL_ASSIGN_OR_RETURN(result_.training.after, training_divergence());
    result_.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    return std::move(result_);
  }

  // The tuned matrices, and into the student what they decode to.
  void hand_out(QuantizedMatrices& matrices) {
    for (TunedMatrix& tuned : tuned_) matrices.find(tuned.name)->second = tuned.scales.snap();
  }

 private:
  template <typename Body>
  absl::Status guarded(std::string_view what, Body&& body) {
    return tensor::guarded(base::str_cat("scale tuning: ", what), std::forward<Body>(body));
  }

  TensorMap collect_factors() {
    TensorMap all;
    for (TunedMatrix& tuned : tuned_) {
      const ScaleFactors& factors = tuned.scales.factors();
      const auto add = [&](const at::Tensor& factor, std::string_view part) {
        if (factor.defined()) all.emplace(base::str_cat(tuned.name, ":", part), factor);
      };
      add(factors.scale, "scale");
      add(factors.offset, "offset");
      add(factors.block_scale, "block_scale");
      add(factors.block_offset, "block_offset");
    }
    return all;
  }

  // Puts what the factors now stand for into the student.
  void refresh() {
    const at::NoGradGuard no_grad;
    for (TunedMatrix& tuned : tuned_) {
      tuned.scales.snap();
      tuned.scales.decode(tuned.decoded);
      student_.set_parameter(tuned.name, tuned.decoded.to(student_.device()));
    }
  }

  // Sum of the divergence over the tokens of one window; differentiable where `student` is.
  LossValue window_loss(const model::Decoder& student, const Windows& windows, int64_t row,
                        const at::Tensor& original_hidden, double divisor) const {
    LossInput input;
    input.hidden =
        student.hidden({.ids = window_ids(windows, row, student.device()), .positions = {}})
            .squeeze(0);
    input.head = student.head();
    input.targets = at::zeros({windows.length},
                              at::device(student.device()).dtype(at::kLong));  // carry no weight
    input.teacher_hidden = original_hidden;
    input.teacher_head = original_.head();
    return head_loss(input, {.distillation_weight = 1.0, .chunk_tokens = options_.chunk_tokens},
                     divisor);
  }

  struct WindowStep {
    at::Tensor original_hidden;
    double divergence = 0;                  // sum over tokens
    std::vector<GroupGradients> gradients;  // of tuned_, in order
  };

  // Forward and backward of one window, on a graph of its own.
  WindowStep run_window(int64_t row, double divisor) const {
    const at::AutoGradMode with_gradients(true);
    WindowStep result;
    result.original_hidden = tuning_states_.get(row);
    model::Decoder student = with_precision(student_, options_.precision);
    std::vector<at::Tensor> leaves;
    for (const TunedMatrix& tuned : tuned_) {
      const GroupGradients own = tuned.scales.leaves(student.device());
      student.set_parameter(
          tuned.name, tuned.scales.attach(own, student_.parameters().find(tuned.name)->second));
      leaves.push_back(own.scale);
      if (own.offset.defined()) leaves.push_back(own.offset);
    }
    const LossValue value = window_loss(student, tuning_, row, result.original_hidden, divisor);
    const auto gradients = torch::autograd::grad({value.loss}, leaves);
    auto next = gradients.begin();
    for (const TunedMatrix& tuned : tuned_) {
      GroupGradients own{*next++, {}};
      if (tuned.scales.trains_offsets()) own.offset = *next++;
      result.gradients.push_back(std::move(own));
    }
    result.divergence = value.divergence.item<double>();
    return result;
  }

  // One update; the windows' gradients are added in order.
  absl::Status step() {
    return guarded("forward and backward", [&]() -> absl::Status {
      const std::vector<int64_t> rows =
          order_.rows(result_.steps * windows_per_step_, windows_per_step_);
      const double tokens = static_cast<double>(windows_per_step_ * tuning_.length);
      std::vector<WindowStep> windows(rows.size());
      for_each_window(student_.device(), windows_per_step_, [&](int64_t i) {
        windows[static_cast<size_t>(i)] = run_window(rows[static_cast<size_t>(i)], tokens);
      });
      const at::NoGradGuard no_grad;
      double sum = 0;
      for (size_t i = 0; i < rows.size(); ++i) {
        tuning_states_.keep(rows[i], windows[i].original_hidden);
        sum += windows[i].divergence;
        if (i > 0) add(windows[0].gradients, windows[i].gradients);
      }
      if (!std::isfinite(sum)) {
        return base::failed("the divergence is ", sum, "; lower the learning rate");
      }
      update(windows[0].gradients);
      result_.curve.push_back({result_.steps, sum / tokens});
      return absl::OkStatus();
    });
  }

  static void add(std::vector<GroupGradients>& sums, const std::vector<GroupGradients>& more) {
    for (size_t i = 0; i < sums.size(); ++i) {
      sums[i].scale.add_(more[i].scale);
      if (sums[i].offset.defined()) sums[i].offset.add_(more[i].offset);
    }
  }

  void update(const std::vector<GroupGradients>& sums) {
    for (size_t i = 0; i < tuned_.size(); ++i) {
      const GroupGradients& sum = sums[i];
      tuned_[i].scales.set_gradients(
          {sum.scale.to(at::kCPU), sum.offset.defined() ? sum.offset.to(at::kCPU) : at::Tensor()});
    }
    optimizer_->step(
        learning_rate_at({Schedule::kCosine, options_.learning_rate, /*final_rate_share=*/0.0,
                          options_.warmup_steps, options_.steps},
                         result_.steps));
    optimizer_->clear_gradients();
    for (TunedMatrix& tuned : tuned_) tuned.scales.clamp();
    ++result_.steps;
    result_.tokens += windows_per_step_ * tuning_.length;
    refresh();
  }

  // Mean over the tokens of `rows`.
  absl::StatusOr<double> divergence(const model::Decoder& student, const Windows& windows,
                                    WindowStates& states, const std::vector<int64_t>& rows) {
    return tensor::guarded(
        "scale tuning: measuring the divergence", [&]() -> absl::StatusOr<double> {
          std::vector<double> sums(rows.size());
          std::vector<at::Tensor> hidden(rows.size());
          for_each_window(student_.device(), static_cast<int64_t>(rows.size()), [&](int64_t i) {
            const auto at = static_cast<size_t>(i);
            hidden[at] = states.get(rows[at]);
            sums[at] =
                window_loss(student, windows, rows[at], hidden[at], 1.0).divergence.item<double>();
          });
          double sum = 0;
          for (size_t i = 0; i < rows.size(); ++i) {
            states.keep(rows[i], hidden[i]);
            sum += sums[i];
          }
          const double mean =
              sum / static_cast<double>(static_cast<int64_t>(rows.size()) * windows.length);
          if (std::isfinite(mean)) return mean;
          return base::failed("scale tuning: after ", result_.steps, " steps the divergence is ",
                              mean,
                              "; a model's logits overflow, or the learning rate is too high");
        });
  }

  absl::StatusOr<double> validation_divergence() {
    std::vector<int64_t> rows(static_cast<size_t>(validation_.count));
    for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int64_t>(i);
    return divergence(student_, validation_, validation_states_, rows);
  }

  absl::StatusOr<double> training_divergence() {
    return divergence(with_precision(student_, options_.precision), tuning_, tuning_states_,
                      DataOrder(tuning_.count, options_.seed)
                          .rows(0, std::min(validation_.count, tuning_.count)));
  }

  absl::Status measure_start() {
    FRUGAL_ASSIGN_OR_RETURN(const double start, validation_divergence());
    FRUGAL_ASSIGN_OR_RETURN(result_.training.before, training_divergence());
    result_.validation = {start, start};
    result_.validations.push_back({0, start});
    return absl::OkStatus();
  }

  bool validation_due() const {
    const int64_t s = result_.steps, n = options_.steps, v = options_.validations;
    return s == n || s * v / n != (s - 1) * v / n;
  }

  absl::Status after_step() {
    const bool last = result_.steps == options_.steps;
    if (validation_due()) FRUGAL_RETURN_IF_ERROR(validate_step());
    report_progress();
    const bool stop = base::interrupt_requested() && !last;
    const bool save =
        stop || (options_.checkpoint_every > 0 && result_.steps % options_.checkpoint_every == 0);
    if (save && !state_path_.empty()) FRUGAL_RETURN_IF_ERROR(save_progress());
    return stop ? base::interrupted() : absl::OkStatus();
  }

  absl::Status validate_step() {
    FRUGAL_ASSIGN_OR_RETURN(const double now, validation_divergence());
    result_.validations.push_back({result_.steps, now});
    if (!(now < result_.validation.after)) return absl::OkStatus();
    result_.validation.after = now;
    result_.best_step = result_.steps;
    return guarded("keeping the best scales", [&] {
      for (const auto& [name, factor] : factors_) best_[name] = factor.clone();
    });
  }

  void restore_best() {
    const at::NoGradGuard no_grad;
    for (const auto& [name, factor] : factors_) {
      if (best_.empty()) {
        factor.zero_();
      } else {
        factor.copy_(best_.find(name)->second);
      }
    }
    refresh();
  }

  void report_progress() {
    if (progress_ == nullptr) return;
    progress_->note(
        absl::StrFormat("KL %.5f  validation %.5f, %.5f before", result_.curve.back().divergence,
                        result_.validations.back().divergence, result_.validation.before));
    progress_->advance();
  }

  TrainState state() { return {factors_, &*optimizer_, best_, base::Json::object()}; }

  absl::Status save_progress() {
    TrainState now = state();
    now.record = to_json(result_);
    return base::annotate(save_state(state_path_, now, fingerprint_),
                          "saving the state of the scale tuning");
  }

  absl::Status resume() {
    if (state_path_.empty()) return absl::OkStatus();
    std::error_code error;
    std::filesystem::create_directories(state_path_.parent_path(), error);
    if (error)
      return base::system_error("create", state_path_.parent_path().string(), error.value());
    TrainState then = state();
    FRUGAL_ASSIGN_OR_RETURN(const std::optional<base::Json> record,
                            load_state(state_path_, then, fingerprint_));
    if (!record) return absl::OkStatus();
    best_ = std::move(then.best);
    FRUGAL_RETURN_IF_ERROR(take_record(*record, state_path_.string(), result_));
    if (progress_ != nullptr) progress_->advance(result_.steps);
    return absl::OkStatus();
  }

  const model::Decoder& original_;
  model::Decoder& student_;
  const Windows &tuning_, &validation_;
  const ScaleTuningOptions& options_;
  const int64_t windows_per_step_;
  base::Progress* progress_;
  DataOrder order_;
  WindowStates tuning_states_, validation_states_;
  std::string fingerprint_;
  std::filesystem::path state_path_;
  std::vector<TunedMatrix> tuned_;
  TensorMap factors_;  // shared with tuned_
  std::optional<AdamW> optimizer_;
  TensorMap best_;  // empty: the start
  ScaleTuningResult result_;
};

}  // namespace

absl::StatusOr<ScaleTuningResult> tune_scales(const model::Decoder& original,
                                              model::Decoder& student, QuantizedMatrices& matrices,
                                              const Windows& tuning, const Windows& validation,
                                              const ScaleTuningOptions& options,
                                              const std::filesystem::path& resume_folder,
                                              base::Progress* progress) {
  FRUGAL_RETURN_IF_ERROR(
      check_scale_tuning(original, student, matrices, tuning, validation, options));
  std::optional<Tuner> tuner;
  FRUGAL_RETURN_IF_ERROR(tensor::guarded("preparing the scale tuning", [&] {
    tuner.emplace(original, student, matrices, tuning, validation, options, resume_folder,
                  progress);
  }));
  FRUGAL_ASSIGN_OR_RETURN(ScaleTuningResult result, tuner->run());
  FRUGAL_RETURN_IF_ERROR(
      tensor::guarded("storing the tuned scales", [&] { tuner->hand_out(matrices); }));
  return result;
}

}  // namespace frugal::train
