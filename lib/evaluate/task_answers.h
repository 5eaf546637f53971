// What a decoder answers to the questions of a task (lib/tasks).
#pragma once

#include <span>
#include <vector>

#include "base/status.h"
#include "evaluate/scoring.h"
#include "model/decoder.h"
#include "tasks/metrics.h"
#include "tasks/questions.h"
#include "text/tokenizer.h"

namespace frugal::evaluate {

// One answer for each question: log-likelihoods of its continuations, or what greedy decoding makes
// of its context up to the first stop sequence, an end of text or the task's limit of new ids.
// `options.batch`: what runs together; changes speed and memory. Errors: those of encoding, with
// the question's id, and of scoring.
absl::StatusOr<std::vector<tasks::Answer>> answer(const model::Decoder& decoder,
                                                  const text::Tokenizer& tokenizer,
                                                  const tasks::TaskConfig& task,
                                                  std::span<const tasks::Question> questions,
                                                  const ScoreOptions& options = {});

}  // namespace frugal::evaluate
