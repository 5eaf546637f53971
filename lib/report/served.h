// Artifacts in the runtimes that serve them: what a user of the run's result gets. Internal to the
// room.
#pragma once

#include <string>

#include "base/json.h"
#include "report/report.h"

namespace frugal::report {

// [{label, model, role, engine, runtime, format, file, cells {metric: number}}] in order of
// appearance: one for each artifact in each runtime that scored or timed it. `model` is its name in
// collect_models, `label` that and, where several runtimes had it, the runtime; of role `baseline`
// is what the baseline was exported to, or the baseline where that is a file.
base::Json collect_served(const JournalView& journal, const base::Json& models,
                          std::string_view baseline);

// The table of them with its finding, after a row of the baseline in frugal's own forward where
// that was not served: {finding, description, columns, rows}. Its rows
// hold what the columns show. Null where nothing was served.
base::Json served_figure(const base::Json& served, const base::Json& models,
                         std::string_view baseline);

// The artifact of the baseline that the same engine served, or null.
const base::Json* served_baseline(const base::Json& served, const base::Json& row);

// The served row of a model, the one in `engine` where that is not empty; null without one.
const base::Json* find_served(const base::Json& served, std::string_view model,
                              std::string_view engine);

}  // namespace frugal::report
