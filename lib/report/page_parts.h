// The files of page/, embedded by the build (CMakeLists.txt of this room).
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace frugal::report {

extern const std::string_view kPageHtml;
extern const std::string_view kPageCss;
extern const std::string_view kPageJs;     // of a run
extern const std::string_view kCompareJs;  // of several

// A page with `data` inside, drawn by `script`; nothing outside the file is referred to.
std::string page_of(std::string_view title, const base::Json& data, std::string_view script);

}  // namespace frugal::report
