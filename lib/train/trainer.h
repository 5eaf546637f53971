// The training loop: from scratch, fine-tuning, and distillation from a teacher's logits.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/status.h"
#include "model/decoder.h"
#include "text/packing.h"
#include "train/parameter_view.h"
#include "train/schedule.h"
#include "train/validation.h"

namespace frugal::train {

// kAuto: bf16 autocast where the device multiplies bf16 natively (dependencies: AVX512_BF16, AMX,
// CUDA), else fp32. Weights, gradients, optimizer and loss are fp32 either way.
enum class Precision { kAuto, kFp32, kBf16 };

struct TrainOptions {
  int64_t steps = 0;   // optimizer steps; 0 = from `tokens`
  int64_t tokens = 0;  // tokens seen in all, rounded up to whole steps; used where steps = 0
  int64_t batch_sequences = 16;  // sequences of a forward
  int64_t accumulation =
      1;  // forwards per step; the gradient is that of one batch of accumulation * batch_sequences
  double learning_rate = 2e-3;  // peak
  int64_t warmup_steps = 0;
  Schedule schedule = Schedule::kCosine;
  double final_rate_share = 0.1;  // rate at the last step over the peak (cosine, linear)
  double weight_decay = 0.1;      // decoupled, matrices and embeddings only
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8;
  double clip = 1.0;  // largest global gradient norm; 0 = no clipping
  Precision precision = Precision::kAuto;
  double distillation_weight =
      0.0;                     // alpha: loss = (1 - alpha) CE + alpha T^2 KL(teacher || student)
  double temperature = 1.0;    // T
  int64_t chunk_tokens = 512;  // tokens whose logits exist at a time
  int64_t validate_every =
      0;  // steps; 0 = only after the last step (where there is validation data)
  bool keep_best =
      false;  // end with the weights of the best validation loss instead of the last ones
  int64_t checkpoint_every = 0;  // steps between resume files; 0 = only when interrupted
  int64_t record_every = 0;      // steps between samples of the loss curve; 0 = about 200 samples
  uint64_t seed = 1;             // order of the data
};

struct LossSample {
  int64_t step = 0;          // steps done
  double loss = 0;           // mean over the tokens since the last sample, nats per token
  double cross_entropy = 0;  // its two parts (unweighted); NaN where a part has no weight
  double divergence = 0;     // KL at temperature T, without T^2
  double learning_rate = 0;
  double gradient_norm = 0;  // before clipping, of the last step
};

struct TrainResult {
  int64_t steps = 0;         // in all, earlier sessions included
  int64_t resumed_from = 0;  // step at which this session began
  int64_t tokens = 0;        // positions seen in all
  int64_t loss_tokens = 0;   // of them predicted and counted
  std::vector<LossSample> curve;
  std::vector<ValidationSample> validation;
  double router_balance = 0;  // of experts, in the last forward (model::balance_loss); 0: none
  int64_t best_step = 0;      // of the best validation loss; 0 = no validation
  Precision precision = Precision::kFp32;  // what kAuto became
  double seconds = 0;                      // of this session, validation and checkpoints included
  double forward_seconds = 0;              // student and loss
  double teacher_seconds = 0;
  double backward_seconds = 0;
  double optimizer_seconds = 0;  // clipping and update
  double validation_seconds = 0;
  double tokens_per_second = 0;  // of this session's steps, validation and checkpoints excluded
};

// Trains what `student` shows, in place, on `data` (fp32 weights; device as the student's).
// `teacher` may be null when distillation_weight is 0; it must share the vocabulary and lie on the
// same device. `validation` may be null. Resume files go to `resume_folder` (created when missing;
// empty = none are written or read); a run that was stopped continues there and ends with the same
// bits. `progress` may be null; it counts steps. Errors: options or data that do not fit (named);
// Cancelled after an interrupt (state saved); a loss that is not finite (names the step); a resume
// file of another run; out of memory.
absl::StatusOr<TrainResult> train(const ParameterView& student, const model::Decoder* teacher,
                                  const text::SequenceReader& data,
                                  const text::SequenceReader* validation,
                                  const TrainOptions& options,
                                  const std::filesystem::path& resume_folder,
                                  base::Progress* progress);

// Steps that `train` will do on sequences of `length` tokens.
absl::StatusOr<int64_t> planned_steps(const TrainOptions& options, int64_t length);

}  // namespace frugal::train
