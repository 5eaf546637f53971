#include "train/trainer.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/interrupt.h"
#include "base/text.h"
#include "tensor/aten.h"
#include "tensor/guard.h"
#include "train/autocast.h"
#include "train/batches.h"
#include "train/check.h"
#include "train/fingerprint.h"
#include "train/losses.h"
#include "train/optimizer.h"
#include "train/record.h"
#include "train/state.h"

namespace frugal::train {
namespace {

using Clock = std::chrono::steady_clock;
constexpr const char* kTrainState = "train-state.safetensors";

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Adds the life of this object to `total`.
class Stopwatch {
 public:
  explicit Stopwatch(double& total) : total_(total) {}
  ~Stopwatch() { total_ += seconds_since(begin_); }

 private:
  double& total_;
  Clock::time_point begin_ = Clock::now();
};

// Sums over the steps since the last sample of the curve.
struct Sums {
  double cross_entropy = 0, divergence = 0;
  int64_t tokens = 0;
};

class Trainer {
 public:
  Trainer(const ParameterView& student, const model::Decoder* teacher,
          const text::SequenceReader& data, std::string_view data_hash,
          const text::SequenceReader* validation, const TrainOptions& options, int64_t steps,
          Precision precision, const std::filesystem::path& folder, base::Progress* progress)
      : student_(student),
        teacher_(options.distillation_weight > 0 ? teacher : nullptr),
        data_(data),
        validation_(validation),
        options_(options),
        steps_(steps),
        record_every_(options.record_every > 0 ? options.record_every
                                               : std::max<int64_t>(1, steps / 200)),
        precision_(precision),
        progress_(progress),
        optimizer_(student.trained(),
                   {options.beta1, options.beta2, options.epsilon, options.weight_decay}),
        order_(data.count(), options.seed),
        fingerprint_(fingerprint(student, teacher_, data_hash, options, precision, steps)) {
    if (!folder.empty()) state_path_ = folder / kTrainState;
    student_.require_gradients(true);
    result_.precision = precision;
  }

  ~Trainer() {
    optimizer_.clear_gradients();
    student_.require_gradients(false);
  }

  absl::StatusOr<TrainResult> run() {
    const Clock::time_point begin = Clock::now();
    FRUGAL_RETURN_IF_ERROR(resume());
    while (result_.steps < steps_) {
      FRUGAL_RETURN_IF_ERROR(step());
      FRUGAL_RETURN_IF_ERROR(after_step());
    }
    if (options_.keep_best && !best_.empty()) student_.assign(best_);
    result_.seconds = seconds_since(begin);
    const double working = result_.forward_seconds + result_.teacher_seconds +
                           result_.backward_seconds + result_.optimizer_seconds + data_seconds_;
    const int64_t done = (result_.steps - result_.resumed_from) * tokens_per_step();
    result_.tokens_per_second = working > 0 ? static_cast<double>(done) / working : 0;
    return std::move(result_);
  }

 private:
  at::Device device() const { return student_.base().device(); }

  int64_t tokens_per_step() const {
    return options_.accumulation * options_.batch_sequences * data_.tokens_each();
  }

  // The forwards of the coming step.
  absl::StatusOr<std::vector<TrainBatch>> next_batches() {
    const Stopwatch watch(data_seconds_);
    std::vector<TrainBatch> batches;
    for (int64_t i = 0; i < options_.accumulation; ++i) {
      const int64_t first = (result_.steps * options_.accumulation + i) * options_.batch_sequences;
      FRUGAL_ASSIGN_OR_RETURN(
          TrainBatch batch,
          read_batch(data_, order_.rows(first, options_.batch_sequences), device()));
      batches.push_back(std::move(batch));
    }
    return batches;
  }

  Autocast autocast() const {
    return Autocast(device().type(), at::kBFloat16, precision_ == Precision::kBf16);
  }

  // Hidden states of the counted places, [N, C].
  at::Tensor counted_hidden(const model::Decoder& decoder, const TrainBatch& batch,
                            std::vector<model::Routing>* routings = nullptr) const {
    const auto cast = autocast();
    return decoder.hidden(batch.inputs, nullptr, routings)
        .flatten(0, 1)
        .index_select(0, batch.places);
  }

  LossOptions loss_options() const {
    return {options_.distillation_weight, options_.temperature, options_.chunk_tokens,
            precision_ == Precision::kBf16 ? at::kBFloat16 : at::kFloat};
  }

  LossValue forward(const TrainBatch& batch, double divisor) {
    LossInput input;
    if (teacher_ != nullptr) {
      const Stopwatch watch(result_.teacher_seconds);
      const at::NoGradGuard no_grad;
      input.teacher_hidden = counted_hidden(*teacher_, batch);
      input.teacher_head = teacher_->head();
    }
    const Stopwatch watch(result_.forward_seconds);
    const model::Decoder model = student_.adapted();
    std::vector<model::Routing> routings;
    input.hidden = counted_hidden(model, batch, &routings);
    input.head = model.head();
    input.targets = batch.targets;
    LossValue value = head_loss(input, loss_options(), divisor);
    if (!routings.empty()) add_balance(value, routings, batch, divisor);
    return value;
  }

  // The balance of experts, of all tokens of the forward, by the weight that the model's config
  // has; forwards count by their tokens.
  void add_balance(LossValue& value, const std::vector<model::Routing>& routings,
                   const TrainBatch& batch, double divisor) {
    const at::Tensor balance = model::balance_loss(routings);
    result_.router_balance = balance.item<double>();
    const double share = static_cast<double>(batch.targets.size(0)) / divisor;
    value.loss = value.loss + balance * (student_.base().config().router_loss_weight * share);
  }

  absl::Status step() {
    return tensor::guarded(
        base::str_cat("training step ", result_.steps + 1), [&]() -> absl::Status {
          FRUGAL_ASSIGN_OR_RETURN(const std::vector<TrainBatch> batches, next_batches());
          int64_t counted = 0;
          for (const TrainBatch& batch : batches) counted += batch.targets.size(0);
          optimizer_.clear_gradients();
          Sums now{0, 0, counted};
          for (const TrainBatch& batch : batches) {
            const LossValue value =
                forward(batch, static_cast<double>(std::max<int64_t>(counted, 1)));
            const Stopwatch watch(result_.backward_seconds);
            torch::autograd::backward({value.loss}, {});
            now.cross_entropy += value.cross_entropy.item<double>();
            now.divergence += value.divergence.item<double>();
          }
          return update(now);
        });
  }

  // Clips and applies the gradients that the forwards left.
  absl::Status update(const Sums& now) {
    const Stopwatch watch(result_.optimizer_seconds);
    gradient_norm_ = optimizer_.clip_gradients(options_.clip).item<double>();
    if (!std::isfinite(now.cross_entropy) || !std::isfinite(now.divergence) ||
        !std::isfinite(gradient_norm_)) {
      return base::failed("training diverged at step ", result_.steps + 1, " of ", steps_,
                          ": loss ", loss_of(now), ", gradient norm ", gradient_norm_,
                          "; lower the learning rate or lengthen the warmup");
    }
    rate_ = learning_rate_at({options_.schedule, options_.learning_rate, options_.final_rate_share,
                              options_.warmup_steps, steps_},
                             result_.steps);
    optimizer_.step(rate_);
    ++result_.steps;
    result_.tokens += tokens_per_step();
    result_.loss_tokens += now.tokens;
    sums_.cross_entropy += now.cross_entropy;
    sums_.divergence += now.divergence;
    sums_.tokens += now.tokens;
    return absl::OkStatus();
  }

  // Mean of the weighted loss over `sums`, nats per token.
  double loss_of(const Sums& sums) const {
    const double alpha = options_.distillation_weight, t = options_.temperature;
    return ((1.0 - alpha) * sums.cross_entropy + alpha * t * t * sums.divergence) /
           static_cast<double>(std::max<int64_t>(sums.tokens, 1));
  }

  void record_sample() {
    const double tokens = static_cast<double>(std::max<int64_t>(sums_.tokens, 1));
    constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
    const double alpha = options_.distillation_weight;
    result_.curve.push_back(
        {result_.steps, loss_of(sums_), alpha < 1 ? sums_.cross_entropy / tokens : kUnknown,
         alpha > 0 ? sums_.divergence / tokens : kUnknown, rate_, gradient_norm_});
    sums_ = {};
  }

  absl::Status after_step() {
    const bool last = result_.steps == steps_;
    if (last || result_.steps % record_every_ == 0) record_sample();
    const bool due =
        last || (options_.validate_every > 0 && result_.steps % options_.validate_every == 0);
    if (validation_ != nullptr && due) FRUGAL_RETURN_IF_ERROR(run_validation());
    report_progress();
    const bool stop = base::interrupt_requested() && !last;
    const bool save =
        stop || (options_.checkpoint_every > 0 && result_.steps % options_.checkpoint_every == 0);
    if (save && !state_path_.empty()) FRUGAL_RETURN_IF_ERROR(save_progress());
    return stop ? base::interrupted() : absl::OkStatus();
  }

  absl::Status run_validation() {
    const Stopwatch watch(result_.validation_seconds);
    FRUGAL_ASSIGN_OR_RETURN(ValidationSample sample,
                            validate(student_.adapted(), *validation_, options_.batch_sequences,
                                     options_.chunk_tokens));
    sample.step = result_.steps;
    const bool best =
        std::all_of(result_.validation.begin(), result_.validation.end(),
                    [&](const auto& other) { return sample.cross_entropy < other.cross_entropy; });
    result_.validation.push_back(sample);
    if (!best) return absl::OkStatus();
    result_.best_step = result_.steps;
    if (!options_.keep_best) return absl::OkStatus();
    return tensor::guarded("keeping the best weights", [&] { best_ = student_.copy(); });
  }

  void report_progress() {
    if (progress_ == nullptr) return;
    const bool fresh = sums_.tokens > 0 || result_.curve.empty();
    const double loss = fresh ? loss_of(sums_) : result_.curve.back().loss;
    std::string note = absl::StrFormat("loss %.3f", loss);
    if (!result_.validation.empty()) {
      absl::StrAppendFormat(&note, "  validation %.3f", result_.validation.back().cross_entropy);
    }
    const double elapsed = seconds_since(session_begin_);
    const int64_t done = (result_.steps - result_.resumed_from) * tokens_per_step();
    absl::StrAppendFormat(&note, "  %.1fk tokens/s", static_cast<double>(done) / elapsed / 1000.0);
    progress_->note(note);
    progress_->advance();
  }

  TrainState state() { return {student_.trained(), &optimizer_, best_, base::Json::object()}; }

  absl::Status save_progress() {
    TrainState now = state();
    now.record = to_json(result_);
    now.record["sums"] = {sums_.cross_entropy, sums_.divergence, sums_.tokens};
    return base::annotate(save_state(state_path_, now, fingerprint_), "saving the training state");
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
    FRUGAL_ASSIGN_OR_RETURN(result_, parse_record(*record, state_path_.string()));
    FRUGAL_ASSIGN_OR_RETURN(const base::Json sums,
                            base::json_get<base::Json>(*record, "sums", state_path_.string()));
    if (!sums.is_array() || sums.size() != 3 || !sums[0].is_number() || !sums[1].is_number() ||
        !sums[2].is_number_integer()) {
      return base::data_loss(state_path_.string(), ": \"sums\" is not a list of three numbers");
    }
    sums_ = {sums[0].get<double>(), sums[1].get<double>(), sums[2].get<int64_t>()};
    result_.precision = precision_;
    result_.resumed_from = result_.steps;
    if (progress_ != nullptr) progress_->advance(result_.steps);
    return absl::OkStatus();
  }

  const ParameterView& student_;
  const model::Decoder* teacher_;
  const text::SequenceReader& data_;
  const text::SequenceReader* validation_;
  const TrainOptions& options_;
  const int64_t steps_, record_every_;
  const Precision precision_;
  base::Progress* progress_;
  AdamW optimizer_;
  DataOrder order_;
  std::string fingerprint_;
  std::filesystem::path state_path_;
  TrainResult result_;
  TensorMap best_;
  Sums sums_;
  double rate_ = 0, gradient_norm_ = 0, data_seconds_ = 0;
  Clock::time_point session_begin_ = Clock::now();
};

}  // namespace

absl::StatusOr<int64_t> planned_steps(const TrainOptions& options, int64_t length) {
  FRUGAL_RETURN_IF_ERROR(check_numbers(options));
  if ((options.steps > 0) == (options.tokens > 0)) {
    return base::invalid_argument("training: steps = ", options.steps,
                                  " and tokens = ", options.tokens,
                                  "; exactly one of them must be above 0");
  }
  const int64_t per_step = options.accumulation * options.batch_sequences * length;
  return options.steps > 0 ? options.steps : (options.tokens + per_step - 1) / per_step;
}

absl::StatusOr<TrainResult> train(const ParameterView& student, const model::Decoder* teacher,
                                  const text::SequenceReader& data,
                                  const text::SequenceReader* validation,
                                  const TrainOptions& options,
                                  const std::filesystem::path& resume_folder,
                                  base::Progress* progress) {
  FRUGAL_ASSIGN_OR_RETURN(const int64_t steps, planned_steps(options, data.tokens_each()));
  FRUGAL_RETURN_IF_ERROR(check_models(student.base(), teacher, options));
  if (student.trained().empty())
    return base::invalid_argument("training: no parameter of the model is to be trained");
  FRUGAL_ASSIGN_OR_RETURN(const std::string data_hash,
                          check_data(data, student.base().config(), "training data"));
  if (validation != nullptr) {
    FRUGAL_RETURN_IF_ERROR(
        check_data(*validation, student.base().config(), "validation data").status());
  }
  if (options.keep_best && validation == nullptr) {
    return base::invalid_argument("training: keep_best needs validation data");
  }
  FRUGAL_ASSIGN_OR_RETURN(const Precision precision,
                          resolve_precision(options.precision, student.base().device()));
  return tensor::guarded("training", [&] {
    return Trainer(student, teacher, data, data_hash, validation, options, steps, precision,
                   resume_folder, progress)
        .run();
  });
}

}  // namespace frugal::train
