// Energy and speed of inference by architecture, of what was metered in frugal's own forward in
// fp32 and not in a runtime (served.h). There the shape of the model alone decides the work: models
// of one shape cost the same, whatever grid their weights lie on, and what differs between them is
// noise of the measurement. So such numbers are shown once for an architecture, and nothing ranks
// the models of one by them. Internal to the room.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "report/report.h"

namespace frugal::report {

// [{architecture, models [name], cells {metric: number}}] in order of appearance, of the models
// that a measure step looked at in that forward; a model whose shape the journal does not tell
// stands for itself, called by its name. A number is the mean of its models', its interval reaches
// over all of theirs.
base::Json collect_architectures(const JournalView& journal, const base::Json& models);

// The mean of several numbers of report.json, its interval reaching over all of theirs; unknown
// where one of them is.
base::Json mean_number(const std::vector<base::Json>& numbers);

// The table of them with its finding; null where nothing was measured.
base::Json architectures_figure(const base::Json& architectures);

// The number `metric` of the model's architecture, or null where it is unknown.
const base::Json* architecture_number(const base::Json& architectures, const base::Json& model,
                                      std::string_view metric);

// Whether both models say of which architecture they are, and it is not the same.
bool of_other_architecture(const base::Json& a, const base::Json& b);

}  // namespace frugal::report
