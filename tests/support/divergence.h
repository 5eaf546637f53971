// Divergence between two models on held-out windows, with what noise it carries.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "model/decoder.h"
#include "tensor/aten.h"
#include "text/dataset.h"

namespace frugal::test {

// Mean KL(original || changed) in nats, of each window.
inline std::vector<double> window_divergences(const model::Decoder& original,
                                              const model::Decoder& changed,
                                              const text::Windows& windows) {
  constexpr int64_t kTogether = 4;  // logits of a few windows at a time
  const at::NoGradGuard no_grad;
  const at::Tensor ids =
      at::tensor(windows.ids, at::kInt).to(at::kLong).view({windows.count, windows.length});
  std::vector<double> result;
  for (int64_t begin = 0; begin < windows.count; begin += kTogether) {
    model::Batch batch;
    batch.ids = ids.slice(0, begin, std::min(begin + kTogether, windows.count));
    const at::Tensor p = original.logits(batch).log_softmax(-1);
    const at::Tensor q = changed.logits(batch).log_softmax(-1);
    const at::Tensor kl = (p.exp() * (p - q)).sum(-1).to(at::kDouble).mean(1);
    result.insert(result.end(), kl.data_ptr<double>(), kl.data_ptr<double>() + kl.numel());
  }
  return result;
}

inline double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

// Mean of worse[i] - better[i] in standard errors of that mean: how surely the second is better on
// other text, too. Above 4, neither the choice of windows nor a last bit of the CPU's decides.
inline double paired_z(const std::vector<double>& worse, const std::vector<double>& better) {
  std::vector<double> difference(worse.size());
  for (size_t i = 0; i < worse.size(); ++i) difference[i] = worse[i] - better[i];
  const double center = mean(difference);
  double squares = 0;
  for (const double value : difference) squares += (value - center) * (value - center);
  const auto n = static_cast<double>(difference.size());
  return center / std::sqrt(squares / (n - 1) / n);
}

}  // namespace frugal::test
