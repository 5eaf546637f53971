// Records of a JSONL or TSV file, as named fields with the place they come from.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/text.h"

namespace frugal::text {

struct Record {
  base::string_map<std::string> fields;
  std::string where;  // "train.tsv:17"
  int64_t line = 0;
};

// Calls `take` for every record until it returns false. Field values that are numbers or truth
// values become text. Errors: malformed lines, invalid UTF-8, an unequal number of columns, each
// with file and line.
absl::Status read_jsonl(const std::filesystem::path& path,
                        const std::function<absl::StatusOr<bool>(Record)>& take);
absl::Status read_table(const std::filesystem::path& path,
                        const std::function<absl::StatusOr<bool>(Record)>& take);

}  // namespace frugal::text
