// The Llama family: Llama 1-3.2 and Mistral without a sliding window. Pre-norm layers with RMSNorm
// (Zhang & Sennrich 2019), half-split rotary embedding (Su et al. 2021, Hugging Face's layout),
// grouped-query attention (Ainslie et al. 2023) and a SwiGLU feed-forward part (Shazeer 2020).
#pragma once

#include <memory>
#include <vector>

#include "base/status.h"
#include "format/model_config.h"
#include "model/architecture.h"
#include "model/decoder.h"

namespace frugal::model {

std::vector<Stage> llama_stages();

// Errors: Unimplemented where the config asks for what the family's forward here does not do
// (biases, another activation, a sliding window shorter than the context).
absl::StatusOr<std::shared_ptr<const LayerRunner>> llama_runner(const format::ModelConfig& config);

}  // namespace frugal::model
