#include "pass/disk_room.h"

#include <string>

#include "base/file.h"
#include "base/text.h"

namespace frugal::pass {
namespace {

constexpr int64_t kSpareDiskBytes = int64_t{64} << 20;

absl::Status check_room(const Cache& cache, std::string_view who, int64_t bytes) {
  FRUGAL_ASSIGN_OR_RETURN(const int64_t free, base::free_bytes(cache.folder()));
  if (free >= bytes + kSpareDiskBytes) return absl::OkStatus();
  return base::resource_exhausted(who, " about ",
                                  base::format_bytes(static_cast<double>(bytes + kSpareDiskBytes)),
                                  " of disk, and '", cache.folder().string(), "' has ",
                                  base::format_bytes(static_cast<double>(free)),
                                  " free; free some, or give --cache a folder on another disk");
}

}  // namespace

absl::Status check_room_for(const Plan& plan, const Cache& cache) {
  int64_t bytes = 0, steps = 0;
  for (const Unit& unit : plan.units) {
    if (cache.contains(unit.key)) continue;
    bytes += output_bytes(unit).value_or(0);
    ++steps;
  }
  if (steps == 0) return absl::OkStatus();
  return check_room(cache,
                    base::str_cat("the ", steps, steps == 1 ? " step" : " steps", " of this run ",
                                  steps == 1 ? "needs" : "need"),
                    bytes);
}

absl::Status check_room_for(const Unit& unit, const Cache& cache) {
  const std::optional<int64_t> bytes = output_bytes(unit);
  return bytes ? check_room(cache, "it needs", *bytes + *bytes / 10) : absl::OkStatus();
}

}  // namespace frugal::pass
