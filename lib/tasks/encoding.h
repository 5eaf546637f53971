// Requests as token ids, as lm-evaluation-harness gives them to causal models.
//
// White space at the end of a context moves to the continuation; the continuation's ids are those
// of both together behind as many as the context alone has; what is longer than the model's context
// loses its beginning. Special tokens are put around as the tokenizer does by itself.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/tokenizer.h"

namespace frugal::tasks {

// The last `scored` ids are asked for, each from those in front of it; at most context_length + 1
// ids.
struct EncodedRequest {
  std::vector<text::TokenId> ids;
  int64_t scored = 0;
};

// What stands in front of a text that has no context: BOS, else EOS. Errors: neither is known.
absl::StatusOr<text::TokenId> prefix_id(const text::Tokenizer& tokenizer);

// Errors: a continuation without an id of its own, or longer than the context.
absl::StatusOr<EncodedRequest> encode_request(const text::Tokenizer& tokenizer,
                                              std::string_view context,
                                              std::string_view continuation,
                                              int64_t context_length);

// A whole text in windows of the context, every id scored once; the last window is filled up with
// what is in front of it. Empty for an empty text.
absl::StatusOr<std::vector<EncodedRequest>> encode_rolling(const text::Tokenizer& tokenizer,
                                                           std::string_view text,
                                                           int64_t context_length);

// A context to be continued by `room` new ids. Errors: no room for a context.
absl::StatusOr<std::vector<text::TokenId>> encode_context(const text::Tokenizer& tokenizer,
                                                          std::string_view context, int64_t room,
                                                          int64_t context_length);

}  // namespace frugal::tasks
