// Which windows of text a walk runs on.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "architecture/model_config.h"
#include "base/status.h"
#include "format/checkpoint.h"
#include "model/products.h"
#include "text/dataset.h"

namespace frugal::layerwise {

inline constexpr int64_t kDefaultSequenceLength = 2048;
// H of n tokens has n/d rows for each of its d columns: the widest matrix says how much text is
// enough. Beyond this four times the text gains less than the interval of the divergence at home
// (tests/bench/quality/README.md).
inline constexpr int64_t kDefaultTokensPerColumn = 24;
inline constexpr int64_t kMostDefaultTokens = 128 * kDefaultSequenceLength;  // as GPTQ took

struct CalibrationOptions {
  int64_t windows = 0;  // 0: as many as the data's `tokens` fill, else default_windows()
  int64_t sequence_length =
      0;  // tokens of a window; 0: the data's, else 2048 or the model's context
  std::string precision = "rounded";  // of the walk over them: rounded or fp32
  int64_t activation_memory = 0;      // bytes that the walk keeps in memory, 0 = all (WalkOptions)
  int64_t min_expert_tokens = 32;     // that an expert must get (WalkOptions)
  double expert_blend = 2;            // tokens per column, of rare experts (WalkOptions)
  model::Precision products() const {
    return precision == "fp32" ? model::Precision::kFloat32 : model::Precision::kRounded;
  }
};

struct CalibrationPlan {
  int64_t windows = 0;  // at most
  int64_t length = 0;
  double self_share = 0;  // of them that the model writes itself
  int64_t tokens() const { return windows * length; }
};

// Windows of `length` tokens with kDefaultTokensPerColumn tokens for each column of the widest
// matrix of a layer; of experts so that each gets them, if the router spreads evenly.
int64_t default_windows(const architecture::ModelConfig& config, int64_t length);

// Windows of one text for several uses that must not see each other's.
struct CalibrationSplit {
  text::Windows seen;      // for the statistics
  text::Windows held_out;  // for choices
  text::Windows fresh;     // for tuning
};

// Errors: a window longer than the model's context, fewer tokens than a window, fewer windows than
// the parts of a mixture.
absl::StatusOr<CalibrationPlan> plan_calibration(const architecture::ModelConfig& config,
                                                 const text::DataSource& source,
                                                 const CalibrationOptions& options);

// Of text that the model writes itself (self_text.h).
struct SelfTextPlace {
  at::Device device = at::kCPU;
  std::filesystem::path folder = {};  // where it is kept, for a resume; empty: nowhere
  std::string title = "calibration";
};

// Reads, tokenizes with the checkpoint's own tokenizer and cuts: windows spread evenly over the
// text. Of a mixture: windows of each part by weight, in turns, fewer where its text does not fill
// them. Errors: no or a foreign tokenizer, ids outside the vocabulary, less text than one window;
// those of write_self_text.
absl::StatusOr<text::Windows> load_calibration(const format::Checkpoint& checkpoint,
                                               const text::DataSource& source,
                                               const CalibrationPlan& plan,
                                               const SelfTextPlace& place = {});

// How many of `windows` each part of a mixture gives: by weight, and one at least.
std::vector<int64_t> mixture_shares(const text::DataSource& source, int64_t windows);

// Cuts `all` into `held_out`, `fresh` and the rest, each spread evenly over the text. Where the
// text does not fill all of them, those seen come first, then those held out. `all` has the windows
// of the three together, at most.
CalibrationSplit split_windows(const text::Windows& all, int64_t seen, int64_t held_out,
                               int64_t fresh);

// `a`, then `b` behind it.
text::Windows joined(const text::Windows& a, const text::Windows& b);

}  // namespace frugal::layerwise
