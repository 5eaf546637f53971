// Training of a tokenizer on a dataset that need not fit in memory: only its distinct words do.
#pragma once

#include <memory>

#include "base/status.h"
#include "text/dataset.h"
#include "text/tokenizer.h"

namespace frugal::text {

// As train_bpe on the texts of `source`, each its prompt and completion. Errors: those of
// stream_examples and of train_bpe.
absl::StatusOr<std::shared_ptr<const Tokenizer>> train_bpe(const DataSource& source,
                                                           const BpeTrainerOptions& options);

}  // namespace frugal::text
