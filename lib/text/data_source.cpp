// Tested by: tests/text/examples_test.cpp
#include <algorithm>
#include <cmath>
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

// What a mixture and the model's own text do not have.
absl::Status check_made(const DataSource& source, std::string_view what) {
  const char* option = source.chat                  ? "chat"
                       : source.limit != 0          ? "limit"
                       : !source.prompt.empty()     ? "prompt"
                       : !source.completion.empty() ? "completion"
                       : !source.labels.empty()     ? "labels"
                                                    : nullptr;
  if (option == nullptr) return absl::OkStatus();
  return base::invalid_argument("data: `", option, "` is of examples, and ", what, " has none");
}

absl::Status check_task_file(const DataSource& source) {
  const char* option = source.chat                  ? "chat"
                       : !source.prompt.empty()     ? "prompt"
                       : !source.completion.empty() ? "completion"
                       : !source.labels.empty()     ? "labels"
                                                    : nullptr;
  if (option != nullptr)
    return base::invalid_argument("data: `", option,
                                  "` does not go with a task_file, which says "
                                  "itself what is asked");
  if (source.limit >= 0) return absl::OkStatus();
  return base::invalid_argument("data: limit ", source.limit, " is negative");
}

absl::Status check_mix(const DataSource& source) {
  FRUGAL_RETURN_IF_ERROR(check_made(source, "a mixture; say it of its parts"));
  for (const MixPart& part : source.mix) {
    if (!(part.weight > 0 && std::isfinite(part.weight))) {
      return base::invalid_argument("data: the mixture's weight of '", part.name, "' is ",
                                    part.weight, "; expected a number above 0");
    }
    if (!part.source->mix.empty()) {
      return base::invalid_argument("data: the mixture's part '", part.name,
                                    "' is a mixture itself; name its parts");
    }
    if (part.source->tokens != 0 || part.source->sequence_length != 0) {
      return base::invalid_argument(
          "data: the mixture's part '", part.name,
          "' says `tokens` or `sequence_length`; a mixture takes windows of one length, as many "
          "of each part as its weight says: say both of the mixture");
    }
    FRUGAL_RETURN_IF_ERROR(base::annotate(check_source(*part.source), part.name));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status check_source(const DataSource& source) {
  const int given = int{!source.text.empty()} + int{!source.jsonl.empty()} +
                    int{!source.table.empty()} + int{!source.builtin.empty()} +
                    int{!source.mix.empty()} + int{source.self} + int{!source.task_file.empty()};
  if (given != 1) {
    return base::invalid_argument(
        "data needs exactly one of text, jsonl, table, builtin, mix, self and task_file; found ",
        given);
  }
  if (!source.mix.empty()) return check_mix(source);
  if (source.self) return check_made(source, "text that the model writes");
  if (!source.task_file.empty()) return check_task_file(source);
  if (!source.folder.empty())
    return base::invalid_argument("data: `folder` is of a task_file, whose documents it holds");
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

absl::Status check_has_examples(const DataSource& source) {
  if (!source.task_file.empty())
    return base::invalid_argument(
        "a task file asks questions and is no text; name it under the "
        "tasks of evaluate");
  if (source.mix.empty() && !source.self) return absl::OkStatus();
  return base::invalid_argument(
      source.self ? "text that the model writes itself" : "a mixture of texts",
      " is for calibration; give a text or a file of examples here");
}

absl::StatusOr<std::vector<fs::path>> data_files(const DataSource& source) {
  FRUGAL_RETURN_IF_ERROR(check_source(source));
  std::vector<fs::path> files;
  for (const MixPart& part : source.mix) {
    FRUGAL_ASSIGN_OR_RETURN(const std::vector<fs::path> some, data_files(*part.source));
    files.insert(files.end(), some.begin(), some.end());
  }
  if (!source.mix.empty() || source.self || !source.builtin.empty()) return files;
  if (!source.task_file.empty())
    return std::vector<fs::path>(source.task_inputs.begin(), source.task_inputs.end());
  if (!source.text.empty()) return expand(source.text);
  return std::vector<fs::path>{source.jsonl.empty() ? source.table : source.jsonl};
}

absl::StatusOr<std::string> content_hash(const DataSource& source) {
  FRUGAL_RETURN_IF_ERROR(check_source(source));
  base::KeyHasher hasher;
  for (const MixPart& part : source.mix) {
    FRUGAL_ASSIGN_OR_RETURN(const std::string content, content_hash(*part.source));
    hasher.add("mixed").add(content).add(base::str_cat(part.weight));
  }
  if (!source.mix.empty()) return hasher.hex();
  if (source.self) {
    hasher.add("written by the model, version 1").add(std::to_string(source.seed));
    return hasher.hex();
  }
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
