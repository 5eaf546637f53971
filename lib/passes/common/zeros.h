// Patterns of zeros that pruning made, on their way through later steps: nothing that works on
// weights keeps them unless it is told to.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "pass/pass.h"

namespace frugal::passes {

// From this share of exact zeros on a matrix counts as pruned; weights as trained have next to
// none.
inline constexpr double kPrunedShare = 0.1;

// Forgets the zeros of the weights that `fills` names, and warns where there were any: "`pass`: ...
// has zeros (...); `why`".
void lose_zeros(pass::CheckContext& context, std::string_view pass, pass::ModelInfo& model,
                const std::function<bool(const std::string& weight)>& fills, std::string_view why);

}  // namespace frugal::passes
