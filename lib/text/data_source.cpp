// Tested by: tests/text/examples_test.cpp
#include <algorithm>
#include <system_error>

#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "text/dataset.h"
#include "text/storefront.h"

namespace frugal::text {

namespace fs = std::filesystem;

namespace {

// "; the folder holds a.jsonl, b.parquet": for a pattern that matched nothing.
std::string what_is_there(const fs::path& folder) {
  constexpr size_t kMost = 6;
  std::vector<std::string> names;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (entry.is_regular_file(error)) names.push_back(entry.path().filename().string());
  }
  if (names.empty()) return "";
  std::sort(names.begin(), names.end());
  const bool more = names.size() > kMost;
  names.resize(std::min(names.size(), kMost));
  return base::str_cat("; the folder holds ", base::join(names, ", "), more ? ", …" : "",
                       "; name a file of it, or a pattern that matches");
}

// Files of the patterns, in order; what one pattern matches is sorted by name.
absl::StatusOr<std::vector<fs::path>> expand(const std::vector<std::string>& patterns) {
  std::vector<fs::path> files;
  for (const std::string& pattern : patterns) {
    const fs::path path(pattern);
    const bool is_glob = path.filename().string().find_first_of("*?") != std::string::npos;
    std::error_code error;
    if (!is_glob) {
      if (!fs::is_regular_file(path, error)) return base::not_found("no text file '", pattern, "'");
      files.push_back(path);
      continue;
    }
    std::vector<fs::path> matches;
    for (const fs::directory_entry& entry : fs::directory_iterator(path.parent_path(), error)) {
      if (!entry.is_regular_file(error)) continue;
      if (base::glob_match(path.filename().string(), entry.path().filename().string()))
        matches.push_back(entry.path());
    }
    if (matches.empty())
      return base::not_found("no file matches '", pattern, "'", what_is_there(path.parent_path()));
    std::sort(matches.begin(), matches.end());
    files.insert(files.end(), matches.begin(), matches.end());
  }
  return files;
}

}  // namespace

absl::Status check_source(const DataSource& source) {
  const int given = int{!source.text.empty()} + int{!source.jsonl.empty()} +
                    int{!source.table.empty()} + int{!source.builtin.empty()};
  if (given != 1) {
    return base::invalid_argument(
        "data needs exactly one of text, jsonl, table and builtin; found ", given);
  }
  if (source.chat && !source.text.empty()) {
    return base::invalid_argument(
        "data: `chat` is of conversations (jsonl, table, builtin); plain text has no turns");
  }
  if (!source.chat && !source.system.empty()) {
    return base::invalid_argument(
        "data: `system` is a turn of a chat; add `chat: true`, or write it into `prompt`");
  }
  if (source.limit < 0) return base::invalid_argument("data: limit ", source.limit, " is negative");
  if (!source.builtin.empty() && source.builtin != "storefront") {
    const std::vector<std::string> names = {"storefront"};
    return base::invalid_argument("unknown builtin data '", source.builtin, "'",
                                  base::suggestion(source.builtin, names));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<fs::path>> data_files(const DataSource& source) {
  FRUGAL_RETURN_IF_ERROR(check_source(source));
  if (!source.builtin.empty()) return std::vector<fs::path>{};
  if (!source.text.empty()) return expand(source.text);
  return std::vector<fs::path>{source.jsonl.empty() ? source.table : source.jsonl};
}

absl::StatusOr<std::string> content_hash(const DataSource& source) {
  FRUGAL_RETURN_IF_ERROR(check_source(source));
  base::KeyHasher hasher;
  hasher.add(source.prompt).add(source.completion).add(std::to_string(source.limit));
  for (const auto& [raw, text] : source.labels) hasher.add(raw).add(text);
  if (!source.builtin.empty()) {
    hasher.add(kStorefrontVersion)
        .add(source.split)
        .add(source.task)
        .add(std::to_string(source.seed));
    return hasher.hex();
  }
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<fs::path> files, data_files(source));
  for (const fs::path& file : files) {
    FRUGAL_ASSIGN_OR_RETURN(const base::MappedFile mapped, base::MappedFile::open(file));
    hasher.add(file.filename().string());
    hasher.add(std::string_view(reinterpret_cast<const char*>(mapped.bytes().data()),
                                mapped.bytes().size()));
  }
  return hasher.hex();
}

}  // namespace frugal::text
