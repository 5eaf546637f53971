// The figures of the report with their findings in words, and the verdict. Internal to the room.
#pragma once

#include <string>

#include "base/json.h"
#include "report/report.h"

namespace frugal::report {

// {status, sentence, detail, about {artifact, runtime, machine}}: the claim declared in the
// pipeline against the comparisons in the journal; `compared` is the figure of energy_comparison.h,
// or null. `about` says what was scored; absent where no model was.
base::Json verdict(const JournalView& journal, const base::Json& models,
                   const base::Json& comparisons, const base::Json& architectures,
                   const base::Json& served, const base::Json& compared);

// All rows of the tables named `comparison`, with the model's name, what computed it (`engine`) and
// whether that was the artifact's runtime (`served`).
base::Json collect_comparisons(const JournalView& journal);

// Each returns null where the run has nothing to draw.
base::Json tradeoff_figure(const base::Json& models, const base::Json& served,
                           std::string_view claimed_metric);
base::Json comparison_figure(const JournalView& journal, const base::Json& comparisons);
base::Json energy_split_figure(const base::Json& architectures, const base::Json& served);
base::Json steps_figure(const JournalView& journal);
base::Json layer_error_figure(const JournalView& journal);
base::Json training_figure(const JournalView& journal);
base::Json derived_figure(const JournalView& journal, const base::Json& architectures,
                          const base::Json& served);

// "83.1%", "12.4", "1.8 MiB": a number in its unit for sentences.
std::string in_words(double value, std::string_view unit);

}  // namespace frugal::report
