#include "support/shared_data.h"

#include <unistd.h>

#include <cstdlib>
#include <stdexcept>
#include <system_error>

namespace frugal::test {

namespace fs = std::filesystem;

fs::path shared_data(std::string_view relative) {
  const char* root = std::getenv("FRUGAL_SHARED_DATA");
  if (root == nullptr || *root == '\0') return {};
  const fs::path path = fs::path(root) / relative;
  std::error_code error;
  return fs::exists(path, error) ? path : fs::path{};
}

bool data_required() {
  const char* value = std::getenv("FRUGAL_REQUIRE_DATA");
  return value != nullptr && std::string_view(value) == "1";
}

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (fs::temp_directory_path() / "frugal-test-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed: " + pattern);
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code error;
  fs::remove_all(path_, error);
}

}  // namespace frugal::test
