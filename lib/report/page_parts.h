// The files of page/, embedded by the build (CMakeLists.txt of this room).
#pragma once

#include <string_view>

namespace frugal::report {

extern const std::string_view kPageHtml;
extern const std::string_view kPageCss;
extern const std::string_view kPageJs;

}  // namespace frugal::report
