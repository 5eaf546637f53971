// Values in files of sysfs, read below injectable roots. Internal to the room.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"

namespace frugal::energy {

// The file's first and only line, trimmed.
absl::StatusOr<std::string> read_line(const std::filesystem::path& path);
// A whole number that is not negative. Errors: no such file, no permission, something else in it.
absl::StatusOr<uint64_t> read_count(const std::filesystem::path& path);
// Entries of a folder in the order of their names; empty where it cannot be listed.
std::vector<std::filesystem::path> entries_of(const std::filesystem::path& folder);

// The failure to read a file, with its remedy where only permission is missing.
absl::Status with_remedy(const absl::Status& status, const std::filesystem::path& path);

}  // namespace frugal::energy
