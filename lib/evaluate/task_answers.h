// What a decoder, or a runtime that serves an artifact, answers to the questions of a task
// (lib/tasks).
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "base/status.h"
#include "evaluate/likelihoods.h"
#include "evaluate/scoring.h"
#include "model/decoder.h"
#include "tasks/metrics.h"
#include "tasks/questions.h"
#include "text/tokenizer.h"

namespace frugal::evaluate {

// Whoever is asked.
struct Answerer {
  int64_t context_length = 0;  // of the model
  // As evaluate::likelihoods.
  std::function<absl::StatusOr<std::vector<std::vector<Likelihood>>>(
      std::span<const std::vector<tasks::EncodedRequest>> questions)>
      likelihoods;
  // The greedy new ids behind each prompt: up to an id that ends a text, to where `ends` says so of
  // those so far (some more may follow), or max_new_tokens of them.
  std::function<absl::StatusOr<std::vector<std::vector<text::TokenId>>>(
      const std::vector<std::vector<text::TokenId>>& prompts, int64_t max_new_tokens,
      const std::function<bool(std::span<const text::TokenId> ids)>& ends)>
      complete;
};
// `decoder` and `tokenizer` must outlive it.
Answerer answerer_of(const model::Decoder& decoder, const text::Tokenizer& tokenizer,
                     const ScoreOptions& options);

// One answer for each question: log-likelihoods of its continuations, or what greedy decoding makes
// of its context up to the first stop sequence, an end of text or the task's limit of new ids.
// `options.batch`: what runs together; changes speed and memory. Errors: those of encoding, with
// the question's id, and of scoring.
absl::StatusOr<std::vector<tasks::Answer>> answer(const Answerer& answerer,
                                                  const text::Tokenizer& tokenizer,
                                                  const tasks::TaskConfig& task,
                                                  std::span<const tasks::Question> questions,
                                                  const ScoreOptions& options = {});
absl::StatusOr<std::vector<tasks::Answer>> answer(const model::Decoder& decoder,
                                                  const text::Tokenizer& tokenizer,
                                                  const tasks::TaskConfig& task,
                                                  std::span<const tasks::Question> questions,
                                                  const ScoreOptions& options = {});

}  // namespace frugal::evaluate
