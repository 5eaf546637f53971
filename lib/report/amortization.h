// When compressing a model has paid for itself: the energy of the steps that led to it, against
// what each token saves from then on. Internal to the room.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "energy/provenance.h"
#include "report/report.h"

namespace frugal::report {

// The energy of every step that led to the model and not to the baseline, J; absent where there is
// none.
std::optional<energy::Figure> making_joules(const JournalView& journal, const std::string& model,
                                            std::string_view baseline);

// {finding, description, rows [{model, of, in, one_off, saved, tokens}]}: numbers as in
// report.json, in J, J per million tokens, and million tokens. Of artifacts whose runtime served
// the baseline's, too, and was metered; where there are none, of the models whose architecture is
// another one than the baseline's, in frugal's own forward (architectures.h says why no other is
// ranked). A model that saves nothing, or of which a part is unknown, has no tokens, and a reason.
// Null where there is no such model.
base::Json amortization_figure(const JournalView& journal, const base::Json& models,
                               const base::Json& architectures, const base::Json& served,
                               std::string_view baseline);

}  // namespace frugal::report
