// Log-likelihoods of requests of a task: what lies in front of several of them runs once, and the
// head only where something is asked for.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "evaluate/scoring.h"
#include "model/decoder.h"
#include "tasks/encoding.h"

namespace frugal::evaluate {

struct Likelihood {
  double log_likelihood = 0.0;  // of the scored ids, nats
  bool greedy = true;           // each of them is the most probable one
  int64_t tokens = 0;
};

// Of every request of every question, in their order. Requests of one question run together; their
// values do not depend on what runs beside them, but for the rounding of fp32. `options.batch`:
// rows that run together. Errors: ids outside the vocabulary, longer than the context; a
// log-likelihood that is not finite; interrupted.
absl::StatusOr<std::vector<std::vector<Likelihood>>> likelihoods(
    const model::Decoder& decoder, std::span<const std::vector<tasks::EncodedRequest>> questions,
    const ScoreOptions& options = {});

}  // namespace frugal::evaluate
