#include "runtime/session.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "base/process.h"
#include "runtime/messages.h"

namespace frugal::runtime {
namespace {

using base::Json;

constexpr int64_t kLargestPart = int64_t{1} << 28;  // bytes of rows in one message
constexpr int64_t kLargestVocabulary = int64_t{1} << 24;

std::string_view bytes_of_ids(const std::vector<int32_t>& ids) {
  return bytes_of(std::span<const int32_t>(ids));
}

template <typename T>
std::span<std::byte> room_of(std::vector<T>& values) {
  return std::as_writable_bytes(std::span(values));
}

absl::Status check_ids(std::span<const TokenId> ids, const SessionInfo& info) {
  for (const TokenId id : ids) {
    if (id >= 0 && id < info.vocabulary) continue;
    return base::invalid_argument(info.runtime, ": id ", id,
                                  " is outside the artifact's vocabulary of ", info.vocabulary,
                                  "; does the tokenizer belong to it?");
  }
  return absl::OkStatus();
}

absl::Status check_sequence(const Sequence& sequence, const SessionInfo& info) {
  if (sequence.ids.empty()) return base::invalid_argument(info.runtime, ": a sequence is empty");
  FRUGAL_RETURN_IF_ERROR(check_ids(sequence.ids, info));
  for (const Query& query : sequence.queries) {
    FRUGAL_RETURN_IF_ERROR(check_ids(std::span(&query.target, 1), info));
    if (query.position >= 0 && query.position < static_cast<int64_t>(sequence.ids.size())) continue;
    return base::invalid_argument(info.runtime, ": position ", query.position, " is asked for of ",
                                  sequence.ids.size(), " ids");
  }
  return absl::OkStatus();
}

absl::StatusOr<SessionInfo> info_of(const Json& answer, const std::string& name) {
  const std::string where = base::str_cat(name, ": what its adapter says of itself");
  SessionInfo info;
  FRUGAL_ASSIGN_OR_RETURN(info.runtime, base::json_get<std::string>(answer, "runtime", where));
  FRUGAL_ASSIGN_OR_RETURN(info.version, base::json_get<std::string>(answer, "version", where));
  FRUGAL_ASSIGN_OR_RETURN(info.vocabulary, base::json_get<int64_t>(answer, "vocabulary", where));
  FRUGAL_ASSIGN_OR_RETURN(info.context, base::json_get<int64_t>(answer, "context", where));
  FRUGAL_ASSIGN_OR_RETURN(info.threads, base::json_get<int64_t>(answer, "threads", where));
  FRUGAL_ASSIGN_OR_RETURN(info.settings, base::json_get<Json>(answer, "settings", where));
  if (info.vocabulary < 1 || info.vocabulary > kLargestVocabulary)
    return base::failed(where, ": a vocabulary of ", info.vocabulary, " ids");
  return info;
}

}  // namespace

int default_threads() {
  if (const char* text = std::getenv("OMP_NUM_THREADS")) {
    if (const int threads = std::atoi(text); threads > 0) return threads;
  }
  return base::available_cpus();
}

Json to_json(const SessionInfo& info) {
  return {{"runtime", info.runtime},
          {"version", info.version},
          {"threads", info.threads},
          {"settings", info.settings}};
}

struct Session::State {
  explicit State(Adapter its_adapter) : adapter(std::move(its_adapter)) {}
  Adapter adapter;
  int64_t prompts = 0;  // of the last prefill
};

Session::Session(std::shared_ptr<State> state, SessionInfo info)
    : state_(std::move(state)), info_(std::move(info)) {}

absl::StatusOr<Session> Session::open(const Runtime& runtime, const std::filesystem::path& artifact,
                                      const SessionOptions& options) {
  FRUGAL_RETURN_IF_ERROR(installed_version(runtime).status());
  FRUGAL_ASSIGN_OR_RETURN(const Environment python, environment());
  return start(std::string(runtime.name), adapter_command(python, runtime), artifact, options);
}

absl::StatusOr<Session> Session::start(std::string name, const std::vector<std::string>& command,
                                       const std::filesystem::path& artifact,
                                       const SessionOptions& options) {
  FRUGAL_ASSIGN_OR_RETURN(Adapter adapter, Adapter::start(name, command));
  FRUGAL_ASSIGN_OR_RETURN(
      const Json answer,
      adapter.ask({{"op", "open"},
                   {"path", artifact.string()},
                   {"context", options.context},
                   {"sequences", options.sequences},
                   {"threads", options.threads > 0 ? options.threads : default_threads()},
                   {"exact_cache", options.exact_cache}}));
  FRUGAL_RETURN_IF_ERROR(adapter.receive_bytes({}));
  FRUGAL_ASSIGN_OR_RETURN(SessionInfo info, info_of(answer, name));
  return Session(std::make_shared<State>(std::move(adapter)), std::move(info));
}

// A message for each sequence: the patience with an answer is for one of them.
absl::StatusOr<std::vector<Scores>> Session::score(std::span<const Sequence> sequences) {
  std::vector<Scores> result;
  for (const Sequence& sequence : sequences) {
    FRUGAL_RETURN_IF_ERROR(check_sequence(sequence, info_));
    std::vector<int32_t> numbers(sequence.ids.begin(), sequence.ids.end());
    for (const Query& query : sequence.queries)
      numbers.push_back(static_cast<int32_t>(query.position));
    for (const Query& query : sequence.queries) numbers.push_back(query.target);
    FRUGAL_RETURN_IF_ERROR(
        state_->adapter
            .ask({{"op", "score"}, {"length", sequence.ids.size()}}, bytes_of_ids(numbers))
            .status());
    const size_t count = sequence.queries.size();
    std::vector<std::byte> answer(count * (sizeof(double) + 1));
    FRUGAL_RETURN_IF_ERROR(state_->adapter.receive_bytes(answer));
    Scores& scores = result.emplace_back();
    scores.log_probabilities.resize(count);
    std::memcpy(scores.log_probabilities.data(), answer.data(), count * sizeof(double));
    for (size_t i = count * sizeof(double); i < answer.size(); ++i)
      scores.greedy.push_back(answer[i] != std::byte{0});
    const auto finite = [](double value) { return std::isfinite(value) && value <= 1e-6; };
    if (!std::all_of(scores.log_probabilities.begin(), scores.log_probabilities.end(), finite)) {
      return base::failed(
          info_.runtime,
          ": a log-probability is no finite number below 0; the artifact's weights or "
          "activations overflow in it");
    }
  }
  return result;
}

absl::Status Session::rows(
    std::span<const TokenId> ids, std::span<const int64_t> positions,
    const std::function<absl::Status(int64_t begin, std::span<const float> rows)>& use) {
  FRUGAL_RETURN_IF_ERROR(check_ids(ids, info_));
  std::vector<int32_t> numbers(ids.begin(), ids.end());
  int64_t last = -1;
  for (const int64_t position : positions) {
    if (position <= last || position >= static_cast<int64_t>(ids.size()))
      return base::invalid_argument(info_.runtime, ": position ", position, " of ", ids.size(),
                                    " ids is asked for after ", last);
    numbers.push_back(static_cast<int32_t>(last = position));
  }
  FRUGAL_RETURN_IF_ERROR(
      state_->adapter.send({{"op", "rows"}, {"length", ids.size()}}, bytes_of_ids(numbers)));
  const auto total = static_cast<int64_t>(positions.size());
  std::vector<float> part;
  for (int64_t begin = 0; begin < total;) {
    FRUGAL_ASSIGN_OR_RETURN(const Json answer, state_->adapter.receive());
    FRUGAL_ASSIGN_OR_RETURN(const int64_t count,
                            base::json_get<int64_t>(answer, "rows", info_.runtime));
    if (count < 1 || count > total - begin ||
        count > std::max<int64_t>(1, kLargestPart / (4 * info_.vocabulary)))
      return base::failed(info_.runtime, ": its adapter sends ", count, " rows where ",
                          total - begin, " are missing");
    part.resize(static_cast<size_t>(count * info_.vocabulary));
    FRUGAL_RETURN_IF_ERROR(state_->adapter.receive_bytes(room_of(part)));
    FRUGAL_RETURN_IF_ERROR(use(begin, part));
    begin += count;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::vector<TokenId>>> Session::generate(
    std::span<const std::vector<TokenId>> prompts, const GenerateOptions& options) {
  Json request = {{"op", "generate"},
                  {"lengths", Json::array()},
                  {"max_new_tokens", options.max_new_tokens},
                  {"temperature", options.temperature},
                  {"top_p", options.top_p},
                  {"seed", options.seed},
                  {"stop", options.stop}};
  std::vector<int32_t> ids;
  for (const std::vector<TokenId>& prompt : prompts) {
    if (prompt.empty()) return base::invalid_argument(info_.runtime, ": a prompt is empty");
    FRUGAL_RETURN_IF_ERROR(check_ids(prompt, info_));
    request["lengths"].push_back(prompt.size());
    ids.insert(ids.end(), prompt.begin(), prompt.end());
  }
  if (!options.ends || prompts.empty()) return new_ids(std::move(request), ids, prompts.size());
  std::vector<std::vector<TokenId>> result;
  for (const std::vector<TokenId>& prompt : prompts) {
    FRUGAL_ASSIGN_OR_RETURN(result.emplace_back(), generate_to_end(prompt, options));
  }
  return result;
}

// In parts, behind each of which its end is looked for: what ends a text is more than ids.
absl::StatusOr<std::vector<TokenId>> Session::generate_to_end(const std::vector<TokenId>& prompt,
                                                              const GenerateOptions& options) {
  constexpr int64_t kPart = 8;
  GenerateOptions part = options;
  part.ends = nullptr;
  std::vector<TokenId> text;
  while (true) {
    const auto length = static_cast<int64_t>(text.size());
    part.max_new_tokens = std::min(kPart, options.max_new_tokens - length);
    std::vector<std::vector<TokenId>> more;
    if (length == 0) {
      FRUGAL_ASSIGN_OR_RETURN(more, generate(std::span(&prompt, 1), part));
    } else {
      FRUGAL_ASSIGN_OR_RETURN(more, new_ids({{"op", "continue"},
                                             {"max_new_tokens", part.max_new_tokens},
                                             {"temperature", part.temperature},
                                             {"top_p", part.top_p},
                                             {"stop", part.stop}},
                                            {}, 1));
    }
    text.insert(text.end(), more.front().begin(), more.front().end());
    const bool stopped = static_cast<int64_t>(more.front().size()) < part.max_new_tokens;
    if (stopped || static_cast<int64_t>(text.size()) >= options.max_new_tokens ||
        options.ends(text))
      return text;
  }
}

absl::StatusOr<std::vector<std::vector<TokenId>>> Session::new_ids(base::Json request,
                                                                   const std::vector<int32_t>& ids,
                                                                   size_t texts) {
  const auto most = request["max_new_tokens"].get<int64_t>();
  FRUGAL_ASSIGN_OR_RETURN(const Json answer,
                          state_->adapter.ask(std::move(request), bytes_of_ids(ids)));
  FRUGAL_ASSIGN_OR_RETURN(const Json made, base::json_get<Json>(answer, "lengths", info_.runtime));
  const auto fits = [&](const Json& length) {
    return length.is_number_integer() && length >= 0 && length <= most;
  };
  if (!made.is_array() || made.size() != texts || !std::all_of(made.begin(), made.end(), fits))
    return base::failed(info_.runtime, ": its adapter answers ", texts, " prompts with lengths ",
                        made.dump().substr(0, 100));
  std::vector<std::vector<TokenId>> result;
  for (const Json& length : made) {
    result.emplace_back(length.get<size_t>());
  }
  std::vector<int32_t> all(
      std::accumulate(result.begin(), result.end(), size_t{0},
                      [](size_t sum, const auto& text) { return sum + text.size(); }));
  FRUGAL_RETURN_IF_ERROR(state_->adapter.receive_bytes(room_of(all)));
  FRUGAL_RETURN_IF_ERROR(check_ids(all, info_));
  auto next = all.begin();
  for (std::vector<TokenId>& text : result) {
    std::copy_n(next, text.size(), text.begin());
    next += static_cast<int64_t>(text.size());
  }
  return result;
}

absl::StatusOr<double> Session::prefill(int64_t batch, std::span<const TokenId> ids) {
  if (batch < 1 || ids.empty() || static_cast<int64_t>(ids.size()) % batch != 0)
    return base::invalid_argument(info_.runtime, ": ", ids.size(), " ids are no ", batch,
                                  " prompts of equal length");
  FRUGAL_RETURN_IF_ERROR(check_ids(ids, info_));
  const std::vector<int32_t> numbers(ids.begin(), ids.end());
  FRUGAL_ASSIGN_OR_RETURN(
      const Json answer,
      state_->adapter.ask({{"op", "prefill"}, {"batch", batch}}, bytes_of_ids(numbers)));
  FRUGAL_RETURN_IF_ERROR(state_->adapter.receive_bytes({}));
  state_->prompts = batch;
  return base::json_get<double>(answer, "seconds", info_.runtime);
}

absl::StatusOr<std::vector<double>> Session::decode(int64_t steps) {
  if (state_->prompts == 0)
    return base::invalid_argument(info_.runtime, ": decode before any prefill");
  std::vector<double> seconds(static_cast<size_t>(steps));
  FRUGAL_RETURN_IF_ERROR(state_->adapter.ask({{"op", "decode"}, {"steps", steps}}).status());
  FRUGAL_RETURN_IF_ERROR(state_->adapter.receive_bytes(room_of(seconds)));
  const auto sane = [](double value) { return std::isfinite(value) && value >= 0; };
  if (!std::all_of(seconds.begin(), seconds.end(), sane))
    return base::failed(info_.runtime, ": its adapter gives a step a time that is none");
  return seconds;
}

std::optional<int64_t> Session::peak_resident_bytes() const {
  return state_->adapter.process().peak_resident_bytes();
}

double Session::cpu_seconds() const { return state_->adapter.process().cpu_seconds(); }

}  // namespace frugal::runtime
