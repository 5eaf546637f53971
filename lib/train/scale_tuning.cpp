#include "train/scale_tuning.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/text.h"
#include "tensor/guard.h"
#include "tensor/tiles.h"
#include "train/batches.h"
#include "train/losses.h"
#include "train/optimizer.h"
#include "train/rounded_linear.h"
#include "train/schedule.h"
#include "train/state.h"

namespace frugal::train {
namespace {

using Clock = std::chrono::steady_clock;
using text::Windows;
constexpr const char* kStateFile = "scale-tuning.safetensors";

at::Tensor window_ids(const Windows& windows, int64_t row, const at::Device& device) {
  const auto begin = windows.ids.begin() + row * windows.length;
  const std::vector<int64_t> ids(begin, begin + windows.length);
  return at::tensor(ids, at::kLong).unsqueeze(0).to(device);
}

// body(0) .. body(count - 1): on threads of the CPU, each with its own graph, or one after the
// other elsewhere.
void for_each_window(const at::Device& device, int64_t count,
                     const std::function<void(int64_t)>& body) {
  if (device.is_cpu()) {
    tensor::for_each_tile(count, body);
    return;
  }
  const at::NoGradGuard no_grad;
  for (int64_t i = 0; i < count; ++i) body(i);
}

// The original's last hidden states [T, C] of windows that were seen before, as long as they fit.
class OriginalStates {
 public:
  OriginalStates(model::Decoder original, const Windows& windows, int64_t cache_bytes)
      : original_(std::move(original)), windows_(windows) {
    const int64_t each =
        windows.length * original.config().hidden_size * static_cast<int64_t>(sizeof(float));
    if (each * windows.count <= cache_bytes) known_.resize(static_cast<size_t>(windows.count));
  }

  at::Tensor get(int64_t row) const {
    if (!known_.empty() && known_[static_cast<size_t>(row)].defined())
      return known_[static_cast<size_t>(row)];
    const at::NoGradGuard no_grad;
    return original_.hidden({.ids = window_ids(windows_, row, original_.device()), .positions = {}})
        .squeeze(0);
  }
  // Not for several threads at once.
  void keep(int64_t row, const at::Tensor& hidden) {
    if (!known_.empty()) known_[static_cast<size_t>(row)] = hidden;
  }

 private:
  model::Decoder original_;
  const Windows& windows_;
  std::vector<at::Tensor> known_;
};

absl::Status check_windows(const Windows& windows, const format::ModelConfig& config,
                           std::string_view what) {
  if (windows.count < 1 || windows.length < 1 ||
      windows.ids.size() != static_cast<size_t>(windows.count * windows.length)) {
    return base::invalid_argument("scale tuning: the ", what, " text has ", windows.count,
                                  " windows of ", windows.length, " tokens with ",
                                  windows.ids.size(), " ids; give at least one window");
  }
  if (windows.length > config.context_length) {
    return base::invalid_argument("scale tuning: ", what, " windows of ", windows.length,
                                  " tokens are longer than the model's context of ",
                                  config.context_length);
  }
  const auto [least, largest] = std::minmax_element(windows.ids.begin(), windows.ids.end());
  if (*least < 0 || *largest >= config.vocabulary_size) {
    return base::invalid_argument("scale tuning: ", what, " ids from ", *least, " to ", *largest,
                                  ", the vocabulary has ", config.vocabulary_size);
  }
  return absl::OkStatus();
}

absl::Status check_disjoint(const Windows& tuning, const Windows& validation) {
  if (tuning.length != validation.length) return absl::OkStatus();
  const auto row = [](const Windows& windows, int64_t i) {
    const auto begin = windows.ids.begin() + i * windows.length;
    return std::vector<text::TokenId>(begin, begin + windows.length);
  };
  std::set<std::vector<text::TokenId>> held_out;
  for (int64_t i = 0; i < validation.count; ++i) held_out.insert(row(validation, i));
  for (int64_t i = 0; i < tuning.count; ++i) {
    if (held_out.contains(row(tuning, i))) {
      return base::invalid_argument(
          "scale tuning: window ", i, " of the tuning text is among the validation windows; ",
          "the best step can only be chosen on text that was not trained on");
    }
  }
  return absl::OkStatus();
}

absl::Status check_numbers(const ScaleTuningOptions& o) {
  const bool counts = o.steps >= 0 && o.tokens_per_step >= 1 && o.warmup_steps >= 0 &&
                      o.validations >= 1 && o.checkpoint_every >= 0 && o.chunk_tokens >= 1 &&
                      o.cache_bytes >= 0;
  const bool rates = std::isfinite(o.learning_rate) && o.learning_rate > 0 && o.beta1 >= 0 &&
                     o.beta1 < 1 && o.beta2 >= 0 && o.beta2 < 1 && o.epsilon > 0;
  if (counts && rates) return absl::OkStatus();
  return base::invalid_argument(
      "scale tuning: steps ", o.steps, ", tokens_per_step ", o.tokens_per_step, ", warmup ",
      o.warmup_steps, ", validations ", o.validations, ", learning rate ", o.learning_rate,
      ", betas ", o.beta1, " and ", o.beta2, ", epsilon ", o.epsilon,
      " do not fit: counts from 0 (validations and tokens from 1), a rate above 0, betas in ",
      "[0, 1)");
}

absl::Status check_models(const model::Decoder& original, const model::Decoder& student,
                          const QuantizedMatrices& matrices) {
  if (original.config().vocabulary_size != student.config().vocabulary_size) {
    return base::invalid_argument("scale tuning: the original has ",
                                  original.config().vocabulary_size, " ids, the quantized model ",
                                  student.config().vocabulary_size);
  }
  if (original.type() != at::kFloat || student.type() != at::kFloat ||
      original.device() != student.device()) {
    return base::invalid_argument("scale tuning: both models must be fp32 on one device");
  }
  if (matrices.empty()) return base::invalid_argument("scale tuning: no quantized matrix is given");
  for (const auto& [name, matrix] : matrices) {
    const auto found = student.parameters().find(name);
    if (found == student.parameters().end() ||
        found->second.sizes() != at::IntArrayRef({matrix.rows, matrix.columns})) {
      return base::invalid_argument("scale tuning: the model has no matrix ", name, " of ",
                                    matrix.rows, " x ", matrix.columns);
    }
  }
  return absl::OkStatus();
}

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

base::Json to_json(const std::vector<TuningSample>& samples) {
  base::Json json = base::Json::array();
  for (const TuningSample& sample : samples)
    json.push_back({{"step", sample.step}, {"divergence", sample.divergence}});
  return json;
}

absl::StatusOr<std::vector<TuningSample>> parse_samples(const base::Json& record,
                                                        std::string_view key,
                                                        std::string_view where) {
  std::vector<TuningSample> samples;
  FRUGAL_ASSIGN_OR_RETURN(const base::Json list, base::json_get<base::Json>(record, key, where));
  for (const base::Json& item : list) {
    TuningSample sample;
    FRUGAL_ASSIGN_OR_RETURN(sample.step, base::json_get<int64_t>(item, "step", where));
    FRUGAL_ASSIGN_OR_RETURN(sample.divergence, base::json_get<double>(item, "divergence", where));
    samples.push_back(sample);
  }
  return samples;
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
    if (!folder.empty()) state_path_ = folder / kStateFile;
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
    input.head = student.head_weight();
    input.targets = at::zeros({windows.length},
                              at::device(student.device()).dtype(at::kLong));  // carry no weight
    input.teacher_hidden = original_hidden;
    input.teacher_head = original_.head_weight();
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
                                    OriginalStates& states, const std::vector<int64_t>& rows) {
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
    now.record = {{"step", result_.steps},
                  {"tokens", result_.tokens},
                  {"best_step", result_.best_step},
                  {"validation_before", result_.validation.before},
                  {"validation_after", result_.validation.after},
                  {"training_before", result_.training.before},
                  {"curve", to_json(result_.curve)},
                  {"validations", to_json(result_.validations)}};
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
    FRUGAL_RETURN_IF_ERROR(take_record(*record, state_path_.string()));
    if (progress_ != nullptr) progress_->advance(result_.steps);
    return absl::OkStatus();
  }

  absl::Status take_record(const base::Json& record, const std::string& where) {
    FRUGAL_ASSIGN_OR_RETURN(result_.steps, base::json_get<int64_t>(record, "step", where));
    FRUGAL_ASSIGN_OR_RETURN(result_.tokens, base::json_get<int64_t>(record, "tokens", where));
    FRUGAL_ASSIGN_OR_RETURN(result_.best_step, base::json_get<int64_t>(record, "best_step", where));
    FRUGAL_ASSIGN_OR_RETURN(result_.validation.before,
                            base::json_get<double>(record, "validation_before", where));
    FRUGAL_ASSIGN_OR_RETURN(result_.validation.after,
                            base::json_get<double>(record, "validation_after", where));
    FRUGAL_ASSIGN_OR_RETURN(result_.training.before,
                            base::json_get<double>(record, "training_before", where));
    FRUGAL_ASSIGN_OR_RETURN(result_.curve, parse_samples(record, "curve", where));
    FRUGAL_ASSIGN_OR_RETURN(result_.validations, parse_samples(record, "validations", where));
    result_.resumed_from = result_.steps;
    return absl::OkStatus();
  }

  const model::Decoder& original_;
  model::Decoder& student_;
  const Windows &tuning_, &validation_;
  const ScaleTuningOptions& options_;
  const int64_t windows_per_step_;
  base::Progress* progress_;
  DataOrder order_;
  OriginalStates tuning_states_, validation_states_;
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
  FRUGAL_RETURN_IF_ERROR(check_numbers(options));
  FRUGAL_RETURN_IF_ERROR(check_models(original, student, matrices));
  FRUGAL_RETURN_IF_ERROR(check_windows(tuning, student.config(), "tuning"));
  FRUGAL_RETURN_IF_ERROR(check_windows(validation, student.config(), "validation"));
  FRUGAL_RETURN_IF_ERROR(check_disjoint(tuning, validation));
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
