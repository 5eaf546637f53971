// Total cost of ownership of serving, in three scenarios with what moves it. Internal to the room.
#pragma once

#include "base/json.h"
#include "report/report.h"

namespace frugal::report {

// {finding, description, currency, inputs [input], rows [{name, role, against, engine, models,
// workload, inputs {tokens_per_second, load_watts, one_off_cost}, tco (energy/tco.h), break_even
// {million_tokens, reason}}]}, `against`: the index of the row that it is set
// off against; an input {key, title, unit, low, expected, high, source, provenance,
// needed}: null bounds are unknown, and `source` says why. Money in the site's currency. Null where
// no inference was measured.
base::Json tco_figure(const JournalView& journal, const base::Json& models,
                      std::string_view baseline);

}  // namespace frugal::report
