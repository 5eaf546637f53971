// str.replace.
#pragma once

#include <string>
#include <string_view>

namespace frugal::tasks {

// Every `from`, which is not empty, becomes `to`, from left to right.
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

}  // namespace frugal::tasks
