// The ids that begin, end and pad texts, for whoever runs an artifact: what transformers would
// take.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "architecture/model_config.h"
#include "base/status.h"
#include "text/tokenizer.h"

namespace frugal::artifact {

struct SpecialIds {
  std::optional<int64_t> bos;  // absent: the model has none, and none is invented
  std::vector<int64_t> eos;    // every id that ends a text or a turn, the first named first
  std::optional<int64_t> pad;
};

// BOS is the one that the tokenizer puts in front of texts; where it puts none, the config's, then
// the tokenizer's. EOS are the config's (format/generation_config.h has put the stronger file over
// it), and the tokenizer's where it names another; or `given`, where an option names them.
SpecialIds special_ids(const architecture::ModelConfig& config, const text::Vocabulary& vocabulary,
                       const std::vector<int64_t>& given = {});

// Errors: a given id outside of [0, rows).
absl::Status check_given_ids(const std::vector<int64_t>& given, int64_t rows);

// How a GGUF file, which has one key each, holds several ends of text.
struct GgufEnds {
  std::optional<int64_t> eos, eot, eom;
  std::vector<int64_t> left_out;  // stop ids that llama.cpp will not stop at
};
GgufEnds gguf_ends(const std::vector<int64_t>& eos, const text::Vocabulary& vocabulary);

}  // namespace frugal::artifact
