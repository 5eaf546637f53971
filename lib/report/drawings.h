// The files that a report consists of, as texts. Internal to the room.
#pragma once

#include <string>

#include "report/report.h"

namespace frugal::report {

struct Drawings {
  std::string json, csv, html;
};
// Errors: those of summarize.
absl::StatusOr<Drawings> draw(const JournalView& journal);

}  // namespace frugal::report
