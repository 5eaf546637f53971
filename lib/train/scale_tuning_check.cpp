#include "train/scale_tuning_check.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "tensor/aten.h"

namespace frugal::train {

using text::Windows;

namespace {

absl::Status check_windows(const Windows& windows, const architecture::ModelConfig& config,
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

}  // namespace

absl::Status check_scale_tuning(const model::Decoder& original, const model::Decoder& student,
                                const QuantizedMatrices& matrices, const Windows& tuning,
                                const Windows& validation, const ScaleTuningOptions& options) {
  FRUGAL_RETURN_IF_ERROR(check_numbers(options));
  FRUGAL_RETURN_IF_ERROR(check_models(original, student, matrices));
  FRUGAL_RETURN_IF_ERROR(check_windows(tuning, student.config(), "tuning"));
  FRUGAL_RETURN_IF_ERROR(check_windows(validation, student.config(), "validation"));
  return check_disjoint(tuning, validation);
}

}  // namespace frugal::train
