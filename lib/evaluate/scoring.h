// Log-probabilities of given tokens: the one routine behind perplexity and classification.
//
// Sequences of unequal length share a batch, padded on the right: attention is causal, so padding
// behind a token cannot reach it. The head is applied to slices of the positions that are asked
// for; the logits of a batch, [B, T, V], never exist.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/decoder.h"
#include "text/tokenizer.h"

namespace frugal::evaluate {

struct ScoreOptions {
  int64_t batch = 8;      // sequences per forward
  int64_t head_rows = 0;  // positions per slice of logits; 0: as many as fit 64 MiB of fp32
  std::string title;      // of the progress line; empty: no progress
};

// ln p(target | ids[0..position]).
struct Query {
  int64_t position = 0;
  text::TokenId target = 0;
};
struct Sequence {
  std::vector<text::TokenId> ids;
  std::vector<Query> queries;
};

// Whatever answers sequences with the log-probabilities of their queries: a decoder of ours
// (score), or a runtime that serves an artifact.
using Scorer =
    std::function<absl::StatusOr<std::vector<std::vector<double>>>(std::span<const Sequence>)>;
// `decoder` must outlive it.
Scorer scorer_of(const model::Decoder& decoder, const ScoreOptions& options);

// Sequences padded on the right to one width: ids [B, T] int64, and of every query, sequence by
// sequence, its row in [B * T] and its target, [N] int64.
struct PaddedBatch {
  at::Tensor ids, rows, targets;
};
PaddedBatch pad(std::span<const Sequence> sequences, std::span<const size_t> members,
                const at::Device& device);

// Longest first, so that sequences of like length share a batch and the largest one comes at once.
std::vector<size_t> by_length(std::span<const Sequence> sequences);

// Errors: an empty sequence, one longer than the context, a query outside its sequence, an id
// outside the vocabulary.
absl::Status check_sequences(std::span<const Sequence> sequences,
                             const architecture::ModelConfig& config);

// Rows of logits per slice for a vocabulary of `vocabulary` ids.
int64_t head_rows(int64_t vocabulary, const ScoreOptions& options);

// Calls `use(begin, logits)` for slices of `hidden` [N, C]; logits [n, V] fp32 of rows
// begin..begin+n-1. Throws.
void for_each_logits(const model::Decoder& decoder, const at::Tensor& hidden, int64_t rows,
                     const std::function<void(int64_t begin, const at::Tensor& logits)>& use);

// For each sequence the log-probabilities of its queries, in their order; log-softmax in fp32.
// Errors: as check_sequences, log-probabilities that are not finite, interrupted.
absl::StatusOr<std::vector<std::vector<double>>> score(const model::Decoder& decoder,
                                                       std::span<const Sequence> sequences,
                                                       const ScoreOptions& options = {});

}  // namespace frugal::evaluate
