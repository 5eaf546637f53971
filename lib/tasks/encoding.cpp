#include "tasks/encoding.h"

#include <algorithm>
#include <string>

#include "chat/unicode.h"

namespace frugal::tasks {
namespace {

using Ids = std::vector<text::TokenId>;

// A text that begins with the BOS itself gets no second one.
Ids encode(const text::Tokenizer& tokenizer, std::string_view text, text::TokenId prefix) {
  const std::string begin = tokenizer.decode(std::span(&prefix, 1), /*skip_special=*/false);
  const bool has_prefix = text.starts_with(begin);
  return tokenizer.encode(text, /*add_special=*/!has_prefix);
}

void truncate_left(Ids& ids, int64_t most) {
  const auto size = static_cast<int64_t>(ids.size());
  if (size > most) ids.erase(ids.begin(), ids.begin() + (size - most));
}

}  // namespace

absl::StatusOr<text::TokenId> prefix_id(const text::Tokenizer& tokenizer) {
  const text::Vocabulary& vocabulary = tokenizer.vocabulary();
  if (vocabulary.bos) return *vocabulary.bos;
  if (vocabulary.eos) return *vocabulary.eos;
  return base::invalid_argument(
      "the tokenizer knows neither a begin nor an end of text, so nothing can stand in front of a "
      "text without a context; name them in its tokenizer_config.json");
}

absl::StatusOr<EncodedRequest> encode_request(const text::Tokenizer& tokenizer,
                                              std::string_view context,
                                              std::string_view continuation,
                                              int64_t context_length) {
  FRUGAL_ASSIGN_OR_RETURN(const text::TokenId prefix, prefix_id(tokenizer));
  EncodedRequest request;
  if (context.empty()) {
    request.ids = tokenizer.encode(continuation, /*add_special=*/false);
    if (request.ids.empty() || request.ids.front() != prefix)
      request.ids.insert(request.ids.begin(), prefix);
    request.scored = static_cast<int64_t>(request.ids.size()) - 1;
  } else {
    const std::string_view kept = chat::strip(context, chat::Sides::kRight);
    std::string whole(context);
    whole += continuation;
    const auto before = static_cast<int64_t>(encode(tokenizer, kept, prefix).size());
    request.ids = encode(tokenizer, whole, prefix);
    request.scored = static_cast<int64_t>(request.ids.size()) - before;
    // A context of white space alone, of a tokenizer without BOS.
    if (before == 0) request.ids.insert(request.ids.begin(), prefix);
  }
  if (request.scored <= 0)
    return base::invalid_argument("the continuation '", continuation.substr(0, 100),
                                  "' has no token of its own behind its context");
  if (request.scored > context_length)
    return base::invalid_argument("the continuation has ", request.scored,
                                  " tokens, the model's context holds ", context_length);
  truncate_left(request.ids, context_length + 1);
  return request;
}

absl::StatusOr<std::vector<EncodedRequest>> encode_rolling(const text::Tokenizer& tokenizer,
                                                           std::string_view text,
                                                           int64_t context_length) {
  FRUGAL_ASSIGN_OR_RETURN(const text::TokenId prefix, prefix_id(tokenizer));
  const Ids ids = encode(tokenizer, text, prefix);
  const auto total = static_cast<int64_t>(ids.size());
  std::vector<EncodedRequest> windows;
  for (int64_t done = 0; done < total;) {
    const int64_t scored = std::min(context_length, total - done);
    const int64_t end = done + scored;
    EncodedRequest window;
    if (done == 0) window.ids.push_back(prefix);
    const int64_t begin = done == 0 ? 0 : std::max<int64_t>(0, end - context_length - 1);
    window.ids.insert(window.ids.end(), ids.begin() + begin, ids.begin() + end);
    window.scored = scored;
    windows.push_back(std::move(window));
    done = end;
  }
  return windows;
}

absl::StatusOr<std::vector<text::TokenId>> encode_context(const text::Tokenizer& tokenizer,
                                                          std::string_view context, int64_t room,
                                                          int64_t context_length) {
  if (room >= context_length)
    return base::invalid_argument("answers of up to ", room,
                                  " tokens leave no room for a question in the context of ",
                                  context_length, "; lower max_gen_toks");
  FRUGAL_ASSIGN_OR_RETURN(const text::TokenId prefix, prefix_id(tokenizer));
  Ids ids = encode(tokenizer, context, prefix);
  if (ids.empty()) ids.push_back(prefix);
  truncate_left(ids, context_length - room);
  return ids;
}

}  // namespace frugal::tasks
