// End-to-end tuning of a quantized model's scales: codes frozen, scales (and offsets) trained so
// that the model's distribution comes close to the original's, by KL(original || quantized) over
// every position (what it gains: layerwise/README.md, "scale tuning"; more text than calibration
// needs is what makes it hold on unseen text).
//
// On the CPU each window runs on one thread and results are added in the order of windows: the same
// bits at any number of threads. (With less than two windows a step there is nothing to run side by
// side: choose shorter windows.) On other devices a window at a time, with that device's own
// rounding.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/status.h"
#include "grid/grid.h"
#include "model/decoder.h"
#include "model/products.h"
#include "text/dataset.h"
#include "train/group_scales.h"

namespace frugal::train {

// Exact matrices by weight name.
using QuantizedMatrices = std::map<std::string, grid::QuantizedMatrix, std::less<>>;

struct ScaleTuningOptions {
  int64_t steps = 100;
  int64_t tokens_per_step = 2048;  // rounded up to whole windows
  double learning_rate = 3e-3;     // peak; of the relative scale; falls along a cosine to 0
  int64_t warmup_steps = 10;
  double beta1 = 0.9, beta2 = 0.99;  // of Adam
  double epsilon = 1e-12;            // far below the gradient by a single group's scale
  ScaleParts parts;
  int64_t validations = 5;        // evenly over the steps, besides the one before the first
  int64_t checkpoint_every = 10;  // steps between resume files; 0 = only when interrupted
  int64_t chunk_tokens = 256;     // tokens of a window whose logits exist at a time
  int64_t cache_bytes =
      int64_t{1} << 30;  // of the original's last hidden states, kept for windows that come again
  uint64_t seed = 1;     // order of the windows
  // Of the layers' products on the tuning windows, of both models alike; validation is exact.
  model::Precision precision = model::Precision::kFloat32;
};

// KL(original || quantized), nats per token, on windows of text.
struct Divergences {
  double before = 0, after = 0;
};

struct TuningSample {
  int64_t step = 0;  // steps done
  double divergence = 0;
};

struct ScaleTuningResult {
  int64_t steps = 0;
  int64_t resumed_from = 0;
  int64_t tokens = 0;      // seen in training
  int64_t best_step = 0;   // whose scales were kept; 0 = those of the start
  Divergences training;    // on as many windows of the tuning text as there are for validation
  Divergences validation;  // after <= before
  std::vector<TuningSample> curve;        // of each step, on that step's windows
  std::vector<TuningSample> validations;  // in the order of steps, from step 0
  int64_t trained_parameters = 0;
  double seconds = 0;  // of this session
};

// Tunes `matrices` in place: their codes stay, their parameters become those of the best
// validation, the start included. `student` holds the parameters that are not in `matrices` (a copy
// of `original`, where nothing else was changed; copies share tensors); on return it holds the
// decoded `matrices`, too. Both are fp32, on the same device, of equal vocabulary. `validation` is
// for choosing only: none of its windows may be among `tuning`. Resume files go to `resume_folder`
// (empty: none); a run that was stopped continues there and ends with the same bits. `progress` may
// be null; it counts steps. Errors: text, sizes or options that do not fit; Cancelled after an
// interrupt (state saved); a divergence that is not finite (names the step); a resume file of
// another run; out of memory. `matrices` are then as they were.
absl::StatusOr<ScaleTuningResult> tune_scales(
    const model::Decoder& original, model::Decoder& student, QuantizedMatrices& matrices,
    const text::Windows& tuning, const text::Windows& validation, const ScaleTuningOptions& options,
    const std::filesystem::path& resume_folder, base::Progress* progress);

}  // namespace frugal::train
