// What a pipeline is given, `models:` and `data:`: opened, described (model_info) and hashed for a
// plan. Internal to this room.
#pragma once

#include <string>

#include "pass/plan.h"

namespace frugal::pass {

// Puts the model into `plan`. False: it cannot be opened. Errors go to `problems`.
bool open_model(const ModelEntry& entry, const PlanOptions& options, Plan& plan,
                Problems& problems);

// Puts the data into `plan`, with a hash where it is known, soon computed or asked for.
void open_data(const DataEntry& entry, const PlanOptions& options, Plan& plan, Problems& problems);

}  // namespace frugal::pass
