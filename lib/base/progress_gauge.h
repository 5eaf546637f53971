// What every line of progress (base/progress.h) tells besides what it counts.
#pragma once

#include <functional>
#include <string>

namespace frugal::base {

// Asked whenever a line is drawn, "34 W", and put behind the time left; empty: nothing. For the
// whole process; null ends it. It is asked while the line is locked: it must be quick, and may not
// log.
void set_progress_gauge(std::function<std::string()> gauge);

}  // namespace frugal::base
