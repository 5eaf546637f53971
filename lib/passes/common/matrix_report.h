// What passes that solve a model matrix by matrix report of it.
#pragma once

#include <vector>

#include "layerwise/walk/matrix_record.h"
#include "pass/pass.h"

namespace frugal::passes {

// Table `layer_error`: every record, with its share of the squared error of all.
void report_layer_errors(pass::RunContext& context, std::vector<layerwise::MatrixRecord> records);

// Statistic `mean_relative_error`: of the records that know their error.
void report_mean_error(pass::RunContext& context,
                       const std::vector<layerwise::MatrixRecord>& records);

// Warns of matrices with input columns that were zero on the whole text: what they weigh was not
// measured.
void warn_of_dead_columns(pass::RunContext& context,
                          const std::vector<layerwise::MatrixRecord>& records);

}  // namespace frugal::passes
