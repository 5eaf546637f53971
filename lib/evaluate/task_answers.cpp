#include "evaluate/task_answers.h"

#include <algorithm>
#include <memory>
#include <numeric>

#include "base/interrupt.h"
#include "base/progress.h"
#include "evaluate/likelihoods.h"
#include "model/generate.h"
#include "text/utf8.h"

namespace frugal::evaluate {
namespace {

using tasks::Answer;
using tasks::EncodedRequest;
using tasks::Question;
using tasks::TaskConfig;
using Ids = std::vector<text::TokenId>;

absl::StatusOr<std::vector<EncodedRequest>> encode(const TaskConfig& task, const Question& question,
                                                   const text::Tokenizer& tokenizer,
                                                   int64_t context_length) {
  if (task.type == tasks::OutputType::kRolling)
    return tasks::encode_rolling(tokenizer, question.continuations.front(), context_length);
  std::vector<EncodedRequest> requests;
  for (const std::string& continuation : question.continuations) {
    FRUGAL_ASSIGN_OR_RETURN(
        EncodedRequest request,
        tasks::encode_request(tokenizer, question.context, continuation, context_length));
    requests.push_back(std::move(request));
  }
  return requests;
}

// The windows of a text are requests of no common beginning; each is a question to the scorer.
absl::StatusOr<std::vector<Answer>> score_windows(
    const model::Decoder& decoder, const std::vector<std::vector<EncodedRequest>>& texts,
    const ScoreOptions& options) {
  std::vector<std::vector<EncodedRequest>> apart;
  for (const auto& windows : texts) {
    for (const EncodedRequest& window : windows) apart.push_back({window});
  }
  FRUGAL_ASSIGN_OR_RETURN(const auto scored, likelihoods(decoder, apart, options));
  std::vector<Answer> answers;
  size_t next = 0;
  for (const auto& windows : texts) {
    Likelihood sum;
    for (size_t w = 0; w < windows.size(); ++w, ++next) {
      sum.log_likelihood += scored[next].front().log_likelihood;
      sum.greedy = sum.greedy && scored[next].front().greedy;
    }
    answers.push_back(
        {.log_likelihoods = {sum.log_likelihood}, .greedy = {sum.greedy}, .text = {}});
  }
  return answers;
}

absl::StatusOr<std::vector<Answer>> score(const model::Decoder& decoder,
                                          const text::Tokenizer& tokenizer, const TaskConfig& task,
                                          std::span<const Question> questions,
                                          const ScoreOptions& options) {
  std::vector<std::vector<EncodedRequest>> requests;
  for (const Question& question : questions) {
    auto encoded = encode(task, question, tokenizer, decoder.config().context_length);
    if (!encoded.ok()) return base::annotate(encoded.status(), question.id);
    requests.push_back(*std::move(encoded));
  }
  if (task.type == tasks::OutputType::kRolling) return score_windows(decoder, requests, options);
  FRUGAL_ASSIGN_OR_RETURN(const auto scored, likelihoods(decoder, requests, options));
  std::vector<Answer> answers;
  for (const auto& question : scored) {
    Answer& answer = answers.emplace_back();
    for (const Likelihood& likelihood : question) {
      answer.log_likelihoods.push_back(likelihood.log_likelihood);
      answer.greedy.push_back(likelihood.greedy);
    }
  }
  return answers;
}

// Cut in front of the first stop sequence, in the order of the list.
std::string cut(std::string text, const std::vector<std::string>& until) {
  for (const std::string& stop : until) {
    if (!stop.empty()) text.resize(std::min(text.size(), text.find(stop)));
  }
  return text;
}

// Of ids that a model chose: bytes that are no character become U+FFFD, as in Python.
std::string decode(const text::Tokenizer& tokenizer, std::span<const text::TokenId> ids) {
  std::string storage;
  const std::string bytes = tokenizer.decode(ids);
  return std::string(text::repair_utf8(bytes, storage));
}

bool has_stop(const std::string& text, const std::vector<std::string>& until) {
  return std::any_of(until.begin(), until.end(), [&](const std::string& stop) {
    return !stop.empty() && text.find(stop) != std::string::npos;
  });
}

absl::StatusOr<std::vector<Answer>> generate(const model::Decoder& decoder,
                                             const text::Tokenizer& tokenizer,
                                             const TaskConfig& task,
                                             std::span<const Question> questions,
                                             const ScoreOptions& options) {
  const std::vector<std::string>& until = task.generation.until;
  std::vector<Ids> prompts;
  for (const Question& question : questions) {
    auto ids = tasks::encode_context(tokenizer, question.context, task.generation.max_new_tokens,
                                     decoder.config().context_length);
    if (!ids.ok()) return base::annotate(ids.status(), question.id);
    prompts.push_back(*std::move(ids));
  }
  std::vector<size_t> order(prompts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return prompts[a].size() > prompts[b].size(); });
  const model::GenerateOptions greedy{.max_new_tokens = task.generation.max_new_tokens,
                                      .stop = model::stop_ids(decoder.config(), tokenizer),
                                      .ends = [&](std::span<const text::TokenId> ids) {
                                        return has_stop(tokenizer.decode(ids), until);
                                      }};
  std::unique_ptr<base::Progress> progress;
  if (!options.title.empty())
    progress = std::make_unique<base::Progress>(options.title, "answers",
                                                static_cast<int64_t>(questions.size()));
  std::vector<Answer> answers(questions.size());
  const auto step = static_cast<size_t>(std::max<int64_t>(1, options.batch));
  for (size_t begin = 0; begin < order.size(); begin += step) {
    FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
    const std::span members = std::span(order).subspan(begin, std::min(step, order.size() - begin));
    std::vector<Ids> batch;
    for (const size_t member : members) batch.push_back(prompts[member]);
    // Greedy: the random numbers are not asked for.
    FRUGAL_ASSIGN_OR_RETURN(
        const auto made,
        model::generate(decoder, batch, greedy, base::RandomStream(0, "evaluate/tasks")));
    for (size_t i = 0; i < members.size(); ++i)
      answers[members[i]].text = cut(decode(tokenizer, made[i]), until);
    if (progress) progress->advance(static_cast<int64_t>(members.size()));
  }
  return answers;
}

}  // namespace

absl::StatusOr<std::vector<Answer>> answer(const model::Decoder& decoder,
                                           const text::Tokenizer& tokenizer, const TaskConfig& task,
                                           std::span<const Question> questions,
                                           const ScoreOptions& options) {
  return task.type == tasks::OutputType::kGenerateUntil
             ? generate(decoder, tokenizer, task, questions, options)
             : score(decoder, tokenizer, task, questions, options);
}

}  // namespace frugal::evaluate
