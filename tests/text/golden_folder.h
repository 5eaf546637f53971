// Where the goldens of this room lie.
#pragma once

#include <cstdlib>
#include <filesystem>

namespace frugal::text {

inline std::filesystem::path golden_folder() {
  const char* root = std::getenv("FRUGAL_SOURCE_DIR");
  if (root != nullptr && *root != '\0') return std::filesystem::path(root) / "tests/text/golden";
  return std::filesystem::path(__FILE__).parent_path() / "golden";
}

}  // namespace frugal::text
