// Which models a run has, and every number known of them. Internal to the room.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "report/report.h"

namespace frugal::report {

// "id" or "id/variant" of a step record.
std::string step_name(const base::Json& step);

// A number of report.json from a statistic of the journal; `source` is the step that reported it.
base::Json number_of(const base::Json& statistic, std::string_view source);

// The energy of a step record as a number: total joules, or null with the reason.
base::Json energy_number(const base::Json& step);

// [{name, role, pass, architecture (null: unknown), cells: {metric: number}}] in order of
// appearance: every model that a step yields or an evaluation names.
base::Json collect_models(const JournalView& journal, std::string_view baseline);

// The columns of a table: those metrics that at least one row has, best known ones first, with
// title, unit, help, better. Joules and speed are of artifacts in their runtimes (kServed); in
// frugal's own forward they are of an architecture (architectures.h), and no column of models.
enum class Table { kModels, kServed };
base::Json collect_columns(const base::Json& models, Table table = Table::kModels);

// The model called `name`, or null.
const base::Json* find_model(const base::Json& models, std::string_view name);

// cells[metric] of a model, or null where it is absent or unknown.
const base::Json* find_number(const base::Json& model, std::string_view metric);

// Whether the metric says what it takes to serve a model, not how good or large it is.
bool is_cost(std::string_view metric);

// The metric's number: +1 where higher is better, -1 where lower is.
int better_direction(std::string_view metric);

}  // namespace frugal::report
