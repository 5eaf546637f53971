#include "passes/prune/share.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace frugal::passes {

absl::Status check_share(pass::CheckContext& context, std::string_view option, double share,
                         int64_t count, int64_t keep, std::string_view what,
                         std::string_view possible) {
  const double asked = share * static_cast<double>(count);
  if (keep >= count) {
    return base::invalid_argument("prune: ", option, " = ", share, " asks to keep ", asked, " of ",
                                  count, " ", what, ", which comes out as all of them, so that ",
                                  "nothing would be removed: ", possible);
  }
  if (std::abs(asked - static_cast<double>(keep)) <= 0.5) return absl::OkStatus();
  context.warn(base::str_cat("prune: ", option, " = ", share, " asks to keep ", asked, " of ",
                             count, " ", what, "; ", keep, " are kept: ", possible));
  return absl::OkStatus();
}

std::string possible_multiples(int64_t count, int64_t keep, int64_t multiple_of) {
  if (multiple_of == 1) return base::str_cat("any number up to ", count, " can stay");
  const int64_t below = keep >= count ? (count - 1) / multiple_of * multiple_of : keep;
  return base::str_cat("multiple_of = ", multiple_of, " allows ",
                       below > 0
                           ? base::str_cat(below, " or ", std::min(count, below + multiple_of))
                           : base::str_cat(count),
                       "; lower multiple_of, or take another share");
}

}  // namespace frugal::passes
