// What a share of structures comes out as, said before anything runs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pass/pass.h"

namespace frugal::passes {

// `share` of `count` structures was asked for, `keep` stay. Errors: nothing would be removed; a
// warning where it is another number than was asked for. `possible` says what is.
absl::Status check_share(pass::CheckContext& context, std::string_view option, double share,
                         int64_t count, int64_t keep, std::string_view what,
                         std::string_view possible);

// Which numbers near `keep` a multiple allows.
std::string possible_multiples(int64_t count, int64_t keep, int64_t multiple_of);

}  // namespace frugal::passes
