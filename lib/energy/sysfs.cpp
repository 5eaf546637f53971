#include "energy/sysfs.h"

#include <algorithm>
#include <charconv>

#include "base/file.h"
#include "base/text.h"

namespace frugal::energy {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kMaxFileBytes = 4096;

}  // namespace

absl::StatusOr<std::string> read_line(const fs::path& path) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string content, base::read_file(path, kMaxFileBytes));
  return std::string(base::trim(content));
}

absl::StatusOr<uint64_t> read_count(const fs::path& path) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string text, read_line(path));
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) {
    return base::data_loss("'", path.string(), "' holds '", text, "', expected a whole number");
  }
  return value;
}

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(folder, error)) out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  return out;
}

absl::Status with_remedy(const absl::Status& status, const fs::path& path) {
  if (status.code() != absl::StatusCode::kPermissionDenied) return status;
  return base::annotate(
      status, base::str_cat("only root may read it; to allow it until the next start: sudo chmod "
                            "a+r ",
                            path.string(), "; in a container the host must pass the file in"));
}

}  // namespace frugal::energy
