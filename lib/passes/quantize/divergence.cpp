#include "passes/quantize/divergence.h"

#include <ATen/core/grad_mode.h>

#include "tensor/aten.h"
#include "tensor/tiles.h"
#include "train/losses.h"

namespace frugal::passes {
namespace {

at::Tensor hidden(const model::Decoder& decoder, const text::Windows& windows, int64_t window) {
  const auto begin = windows.ids.begin() + window * windows.length;
  const std::vector<int64_t> ids(begin, begin + windows.length);
  const at::Tensor batch = at::tensor(ids, at::kLong).unsqueeze(0).to(decoder.device());
  return decoder.hidden({.ids = batch, .positions = {}}).squeeze(0);
}

}  // namespace

double mean_divergence(const model::Decoder& original, const model::Decoder& changed,
                       const text::Windows& windows, std::vector<at::Tensor>& original_hidden) {
  original_hidden.resize(static_cast<size_t>(windows.count));
  std::vector<double> sums(original_hidden.size());
  const auto body = [&](int64_t i) {
    at::Tensor& reference = original_hidden[static_cast<size_t>(i)];
    if (!reference.defined()) reference = hidden(original, windows, i);
    train::LossInput input;
    input.hidden = hidden(changed, windows, i);
    input.head = changed.head();
    input.targets = at::zeros({windows.length}, reference.options().dtype(at::kLong));
    input.teacher_hidden = reference;
    input.teacher_head = original.head();
    sums[static_cast<size_t>(i)] =
        train::head_loss(input, {.distillation_weight = 1.0}, 1.0).divergence.item<double>();
  };
  if (original.device().is_cpu()) {
    tensor::for_each_tile(windows.count, body);
  } else {
    const at::NoGradGuard no_grad;
    for (int64_t i = 0; i < windows.count; ++i) body(i);
  }
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum / static_cast<double>(windows.count * windows.length);
}

}  // namespace frugal::passes
