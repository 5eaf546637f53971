// What each row of a comparison is best at, by rules that are stated. Internal to the room.
#pragma once

#include "base/json.h"

namespace frugal::report {

// Adds to a comparison (compare_runs.h) `best` and `best_use` of rows, `rules`, finding and
// description. In a column that is not comparable nothing is best.
void choose_best(base::Json& comparison);

}  // namespace frugal::report
