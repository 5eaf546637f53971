// How far a changed model's distribution is from the original's.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "base/status.h"
#include "model/decoder.h"
#include "text/dataset.h"

namespace frugal::passes {

// Mean KL(original || changed), nats per token, over all places of `windows` (one at least). Both
// are on one device, of equal vocabulary. `original_hidden` keeps the original's last hidden states
// for the next call; empty at first. The same bits at any number of threads on the CPU. Throws;
// not finite where a model's logits are not.
double mean_divergence(const model::Decoder& original, const model::Decoder& changed,
                       const text::Windows& windows, std::vector<at::Tensor>& original_hidden);

}  // namespace frugal::passes
