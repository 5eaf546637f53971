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
    const Answerer& answerer, const std::vector<std::vector<EncodedRequest>>& texts) {
  std::vector<std::vector<EncodedRequest>> apart;
  for (const auto& windows : texts) {
    for (const EncodedRequest& window : windows) apart.push_back({window});
  }
  FRUGAL_ASSIGN_OR_RETURN(const auto scored, answerer.likelihoods(apart));
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

absl::StatusOr<std::vector<Answer>> score(const Answerer& answerer,
                                          const text::Tokenizer& tokenizer, const TaskConfig& task,
                                          std::span<const Question> questions) {
  std::vector<std::vector<EncodedRequest>> requests;
  for (const Question& question : questions) {
    auto encoded = encode(task, question, tokenizer, answerer.context_length);
    if (!encoded.ok()) return base::annotate(encoded.status(), question.id);
    requests.push_back(*std::move(encoded));
  }
  if (task.type == tasks::OutputType::kRolling) return score_windows(answerer, requests);
  FRUGAL_ASSIGN_OR_RETURN(const auto scored, answerer.likelihoods(requests));
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

absl::StatusOr<std::vector<Answer>> generate(const Answerer& answerer,
                                             const text::Tokenizer& tokenizer,
                                             const TaskConfig& task,
                                             std::span<const Question> questions,
                                             const ScoreOptions& options) {
  const std::vector<std::string>& until = task.generation.until;
  std::vector<Ids> prompts;
  for (const Question& question : questions) {
    auto ids = tasks::encode_context(tokenizer, question.context, task.generation.max_new_tokens,
                                     answerer.context_length);
    if (!ids.ok()) return base::annotate(ids.status(), question.id);
    prompts.push_back(*std::move(ids));
  }
  std::vector<size_t> order(prompts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return prompts[a].size() > prompts[b].size(); });
  const auto ends = [&](std::span<const text::TokenId> ids) {
    return has_stop(tokenizer.decode(ids), until);
  };
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
    FRUGAL_ASSIGN_OR_RETURN(const auto made,
                            answerer.complete(batch, task.generation.max_new_tokens, ends));
    for (size_t i = 0; i < members.size(); ++i)
      answers[members[i]].text = cut(decode(tokenizer, made[i]), until);
    if (progress) progress->advance(static_cast<int64_t>(members.size()));
  }
  return answers;
}

}  // namespace

Answerer answerer_of(const model::Decoder& decoder, const text::Tokenizer& tokenizer,
                     const ScoreOptions& options) {
  return {
      .context_length = decoder.config().context_length,
      .likelihoods =
          [&decoder, options](std::span<const std::vector<EncodedRequest>> questions) {
            return likelihoods(decoder, questions, options);
          },
      .complete =
          [&decoder, &tokenizer](const std::vector<Ids>& prompts, int64_t max_new_tokens,
                                 const std::function<bool(std::span<const text::TokenId>)>& ends) {
            const model::GenerateOptions greedy{
                .max_new_tokens = max_new_tokens,
                .stop = model::stop_ids(decoder.config(), tokenizer),
                .ends = ends};
            // Greedy: the random numbers are not asked for.
            return model::generate(decoder, prompts, greedy,
                                   base::RandomStream(0, "evaluate/tasks"));
          }};
}

absl::StatusOr<std::vector<Answer>> answer(const Answerer& answerer,
                                           const text::Tokenizer& tokenizer, const TaskConfig& task,
                                           std::span<const Question> questions,
                                           const ScoreOptions& options) {
  return task.type == tasks::OutputType::kGenerateUntil
             ? generate(answerer, tokenizer, task, questions, options)
             : score(answerer, tokenizer, task, questions);
}

absl::StatusOr<std::vector<Answer>> answer(const model::Decoder& decoder,
                                           const text::Tokenizer& tokenizer, const TaskConfig& task,
                                           std::span<const Question> questions,
                                           const ScoreOptions& options) {
  return answer(answerer_of(decoder, tokenizer, options), tokenizer, task, questions, options);
}

}  // namespace frugal::evaluate
