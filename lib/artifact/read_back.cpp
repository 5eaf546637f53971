#include "artifact/read_back.h"

#include <algorithm>
#include <bit>
#include <cstdint>

#include "base/file.h"
#include "format/checkpoint_files.h"

namespace frugal::artifact {

namespace fs = std::filesystem;

absl::Status same_bytes(std::string_view file, std::string_view what,
                        std::span<const std::byte> found, std::span<const std::byte> expected) {
  if (found.size() != expected.size()) {
    return differs(file, what, " has ", found.size(), " bytes, expected ", expected.size());
  }
  const auto [one, other] = std::mismatch(found.begin(), found.end(), expected.begin());
  if (one == found.end()) return absl::OkStatus();
  return differs(file, what, " has ", static_cast<int>(*one), " at byte ", one - found.begin(),
                 ", expected ", static_cast<int>(*other));
}

absl::Status same_text(const fs::path& file, std::string_view expected) {
  FRUGAL_ASSIGN_OR_RETURN(const base::MappedFile mapped, base::MappedFile::open(file));
  return same_bytes(file.string(), "the text", mapped.bytes(),
                    std::as_bytes(std::span(expected.data(), expected.size())));
}

absl::Status same_file(const fs::path& copy, const fs::path& source) {
  FRUGAL_ASSIGN_OR_RETURN(const base::MappedFile mapped, base::MappedFile::open(source));
  FRUGAL_ASSIGN_OR_RETURN(const base::MappedFile found, base::MappedFile::open(copy));
  return same_bytes(copy.string(), base::str_cat("the copy of ", source.string()), found.bytes(),
                    mapped.bytes());
}

absl::Status same_side_files(const fs::path& copy, const fs::path& source) {
  for (const fs::path& file : format::side_files_of(source))
    FRUGAL_RETURN_IF_ERROR(same_file(copy / format::side_file_place(file), file));
  return absl::OkStatus();
}

absl::Status same_values(std::string_view file, std::string_view weight, int64_t columns,
                         std::span<const float> found, std::span<const float> expected) {
  if (found.size() != expected.size()) {
    return differs(file, "'", weight, "' has ", found.size(), " numbers, expected ",
                   expected.size());
  }
  const auto [one, other] = std::mismatch(
      found.begin(), found.end(), expected.begin(),
      [](float a, float b) { return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b); });
  if (one == found.end()) return absl::OkStatus();
  const int64_t at = one - found.begin();
  return differs(file, "'", weight, "' is ", std::to_string(*one), " at row ", at / columns,
                 ", column ", at % columns, ", expected ", std::to_string(*other));
}

}  // namespace frugal::artifact
