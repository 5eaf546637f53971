// What a plan can say of the texts and tokenizers that a step will use, so that it is not refused
// after the steps before it have run.
#pragma once

#include <memory>
#include <string_view>

#include "base/status.h"
#include "pass/pass.h"
#include "text/dataset.h"
#include "text/tokenizer.h"

namespace frugal::passes {

// The tokenizer of `model`, or null where a step before will make it. Errors: it cannot be read, or
// has more pieces than the embedding has rows.
absl::StatusOr<std::shared_ptr<const text::Tokenizer>> planned_tokenizer(
    const pass::ModelInfo& model, std::string_view pass);

// Whether data has examples, and those of a chat can go through the model's template. `tokenizer`:
// null where a step before trains it, without a template.
absl::Status check_examples(const text::DataSource& source, const text::Tokenizer* tokenizer,
                            std::string_view what);

// Whether `source`, or every part of a mixture, fills one window of `length` tokens, by the
// beginning of its files where that is enough. `tokenizer` may be null: OK.
absl::Status check_fills_window(const text::DataSource& source, const text::Tokenizer* tokenizer,
                                int64_t length, std::string_view what);

// A warning where a text filled fewer windows than an option asked for (0: it asked for none).
void warn_of_fewer_windows(pass::RunContext& context, std::string_view pass,
                           const text::Windows& windows, int64_t asked);

}  // namespace frugal::passes
