// The variants that a step's matrix makes.
#pragma once

#include <string>
#include <vector>

#include "pass/pass.h"
#include "pass/pipeline.h"

namespace frugal::pass {

// A new pass called `name`; null when there is none.
std::unique_ptr<Pass> find_pass(const Registry& registry, std::string_view name);
std::vector<std::string> pass_names(const Registry& registry);

// Reads the options of a step for what is wrong with them: `with`, then each value of the matrix
// alone, so that a mistake is reported once and not for each variant.
void check_options(const StepEntry& step, const Registry& registry, Problems& problems);

// One combination of matrix values: the options to read, and what it is called in paths ("" without
// a matrix, "0.5-up" for two keys). A value is called by what the option stores: 0.50 and 0.5 are
// one name.
struct Combination {
  Node with;
  std::string label;
};
std::vector<Combination> combinations(const StepEntry& step, const Registry& registry);

}  // namespace frugal::pass
