// Autoregressive generation with a key/value cache.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "base/random.h"
#include "base/status.h"
#include "model/decoder.h"
#include "text/tokenizer.h"

namespace frugal::model {

struct GenerateOptions {
  int64_t max_new_tokens = 64;
  double temperature = 0.0;              // 0: greedy (first of equal logits)
  double top_p = 1.0;                    // nucleus; 1 = off
  std::vector<text::TokenId> stop = {};  // ids that end a sequence (not returned)
  bool ignore_stop = false;              // speed measurements: always max_new_tokens
  // Called with each new id as it comes, by prompt; not with one that ends the sequence.
  std::function<void(size_t prompt, text::TokenId id)> on_token = nullptr;
  // Whether a sequence of new ids is at its end; its last id is returned, too.
  std::function<bool(std::span<const text::TokenId> ids)> ends = nullptr;
};

// What ends an answer: the model's own ids, and the tokenizer's.
std::vector<text::TokenId> stop_ids(const architecture::ModelConfig& config,
                                    const text::Tokenizer& tokenizer);

// New ids for each prompt (prompts may differ in length; they are batched left-aligned with masks).
// Errors: empty prompt, prompt + max_new_tokens above the context length (says both).
absl::StatusOr<std::vector<std::vector<text::TokenId>>> generate(
    const Decoder& decoder, const std::vector<std::vector<text::TokenId>>& prompts,
    const GenerateOptions& options, base::RandomStream random);

}  // namespace frugal::model
