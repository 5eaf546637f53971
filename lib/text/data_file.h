// Files of examples and texts by their content: unpacked where that is gzip, refused by name where
// they are of a kind that is not read (Parquet, Arrow, other archives, UTF-16).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/status.h"

namespace frugal::text {

enum class DataForm {
  kText,       // anything else
  kJsonLines,  // an object (or a string) on each line
  kJsonArray,  // one array of them
  kTable,      // fields behind tabs, commas or semicolons, with a header
};

// The whole file as text, without gzip around it. Errors: a kind that is not read, with how to
// convert it; a damaged archive.
absl::StatusOr<std::string> read_data_file(const std::filesystem::path& path);

// The form of what begins with `head`. A table is told from prose by its name (.csv, .tsv, in any
// case, also before .gz), or by lines that have as many fields as a header of names.
DataForm data_form(std::string_view head, const std::filesystem::path& path);

inline constexpr size_t kDataHeadBytes = size_t{1} << 16;

// The first bytes of the file (kDataHeadBytes, of gzip what they unpack to). Errors: those of
// read_data_file.
absl::StatusOr<std::string> read_data_head(const std::filesystem::path& path);

// What separates the fields of a table, by its header: a tab, else a comma or a semicolon, else a
// tab (one column).
char table_separator(std::string_view header);

// Inflates gzip, also several members behind each other. `whole` false: what can be had of a piece
// of a file. Errors: damage, more than `max_bytes`.
absl::StatusOr<std::string> gunzip(std::string_view packed, bool whole, std::string_view where,
                                   int64_t max_bytes = int64_t{1} << 32);

}  // namespace frugal::text
