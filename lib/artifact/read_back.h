// What the read-backs of all formats share: comparisons of what lies on the disk with what it was
// made of. Errors: DataLoss naming file, place, found and expected.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/text.h"

namespace frugal::artifact {

template <typename... Parts>
absl::Status differs(std::string_view file, const Parts&... parts) {
  return base::data_loss("reading back ", file, ": ", parts...,
                         "; what lies on the disk is not what was written: write it again, and "
                         "look after disk and memory if it happens again");
}

absl::Status same_bytes(std::string_view file, std::string_view what,
                        std::span<const std::byte> found, std::span<const std::byte> expected);
// The whole file.
absl::Status same_text(const std::filesystem::path& file, std::string_view expected);
absl::Status same_file(const std::filesystem::path& copy, const std::filesystem::path& source);
// Tokenizer, templates and whatever else travels with a model (format::side_files_of).
absl::Status same_side_files(const std::filesystem::path& copy,
                             const std::filesystem::path& source);
// Weights in rows of `columns`, compared as bits.
absl::Status same_values(std::string_view file, std::string_view weight, int64_t columns,
                         std::span<const float> found, std::span<const float> expected);

}  // namespace frugal::artifact
