#include <algorithm>
#include <system_error>

#include "base/file.h"
#include "base/file_kind.h"
#include "base/hash.h"
#include "text/data_file.h"
#include "text/dataset.h"
#include "text/records.h"
#include "text/storefront.h"
#include "text/template.h"

namespace frugal::text {
namespace {

namespace fs = std::filesystem;

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

std::string with_unix_line_ends(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r' || i + 1 == text.size() || text[i + 1] != '\n') out.push_back(text[i]);
  }
  return out;
}

// A file whose name and whose content both say that it holds records is not meant to be read with
// its brackets as text.
absl::Status refuse_records(std::string_view head, const fs::path& file) {
  const fs::path name = base::suffix_of(file) == ".gz" ? file.stem() : file;
  const std::string suffix = base::suffix_of(name);
  const DataForm form = data_form(head, file);
  const bool json = suffix == ".json" || suffix == ".jsonl" || suffix == ".ndjson";
  const bool table = suffix == ".csv" || suffix == ".tsv";
  if ((!json || (form != DataForm::kJsonLines && form != DataForm::kJsonArray)) &&
      (!table || form != DataForm::kTable))
    return absl::OkStatus();
  return base::invalid_argument(file.string(), ": holds records (", json ? "JSON" : "a table",
                                "), which `text` would read with all their brackets and marks; "
                                "name it under `",
                                json ? "jsonl" : "table",
                                "`, or rename it to .txt if they are the text that is meant");
}

absl::StatusOr<std::string> read_text(const fs::path& file) {
  FRUGAL_ASSIGN_OR_RETURN(std::string content, read_data_file(file));
  FRUGAL_RETURN_IF_ERROR(refuse_records(content, file));
  if (base::is_valid_utf8(content)) return content;
  if (content.find('\0') != std::string::npos) {
    return base::invalid_argument(file.string(),
                                  ": not a text: it holds zero bytes; give text, JSON or CSV");
  }
  return base::invalid_argument(
      file.string(), ": not valid UTF-8; convert the file, for example from Latin-1: iconv -f ",
      "ISO-8859-1 -t UTF-8 '", file.filename().string(), "'");
}

absl::StatusOr<std::vector<Example>> load_text(const DataSource& source) {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<fs::path> files, expand(source.text));
  std::vector<Example> examples;
  for (const fs::path& file : files) {
    if (source.limit > 0 && static_cast<int64_t>(examples.size()) >= source.limit) break;
    FRUGAL_ASSIGN_OR_RETURN(const std::string content, read_text(file));
    Example example;
    example.id = file.filename().string();
    example.completion = with_unix_line_ends(content);
    examples.push_back(std::move(example));
  }
  return examples;
}

// Turns records into examples by the source's templates.
class Composer {
 public:
  static absl::StatusOr<Composer> create(const DataSource& source) {
    Composer composer;
    FRUGAL_ASSIGN_OR_RETURN(composer.prompt_, Template::parse(source.prompt));
    FRUGAL_ASSIGN_OR_RETURN(composer.completion_, Template::parse(source.completion));
    composer.labels_ = source.labels;
    composer.implicit_ = source.prompt.empty() && source.completion.empty();
    if (!source.labels.empty() && composer.completion_.fields().size() != 1) {
      return base::invalid_argument("data with labels: the completion template '",
                                    source.completion,
                                    "' must have exactly one field, the label's");
    }
    for (const auto& [raw, text] : source.labels) {
      std::string candidate =
          composer.completion_.fill([&, &t = text](const std::string&) { return t; });
      auto& candidates = composer.candidates_;
      if (std::find(candidates.begin(), candidates.end(), candidate) == candidates.end()) {
        candidates.push_back(std::move(candidate));
      }
    }
    return composer;
  }

  absl::StatusOr<Example> compose(const Record& record) const {
    Example example;
    example.id = fs::path(record.where).filename().string();
    if (implicit_) return compose_implicit(record, std::move(example));
    FRUGAL_ASSIGN_OR_RETURN(example.prompt, fill(prompt_, record, false));
    FRUGAL_ASSIGN_OR_RETURN(example.completion, fill(completion_, record, !labels_.empty()));
    if (!labels_.empty()) {
      example.label = example.completion;
      example.label_texts = candidates_;
    }
    return example;
  }

 private:
  // Without templates: {"text"} is plain text, {"prompt", "completion"} what they say.
  static absl::StatusOr<Example> compose_implicit(const Record& record, Example example) {
    const auto text = record.fields.find("text");
    const auto prompt = record.fields.find("prompt");
    const auto completion = record.fields.find("completion");
    if (text != record.fields.end()) {
      example.completion = text->second;
    } else if (completion != record.fields.end()) {
      if (prompt != record.fields.end()) example.prompt = prompt->second;
      example.completion = completion->second;
    } else {
      return base::invalid_argument(
          record.where,
          ": no field 'text' or 'completion', and no template says what to use; found ",
          describe_fields(record),
          "; map them by `prompt` and `completion` (one-liners: --data-prompt, "
          "--data-completion), for example ",
          suggest_templates(record));
    }
    return example;
  }

  absl::StatusOr<std::string> fill(const Template& pattern, const Record& record,
                                   bool as_label) const {
    for (const std::string& name : pattern.fields()) {
      const auto field = record.fields.find(name);
      if (field == record.fields.end()) {
        return base::invalid_argument(record.where, ": no field '", name,
                                      "' for the template; found ", describe_fields(record));
      }
      if (as_label && !labels_.contains(field->second)) {
        return base::invalid_argument(record.where, ": the label '", field->second,
                                      "' is not among the ", labels_.size(),
                                      " that 'labels' names");
      }
    }
    return pattern.fill([&](const std::string& name) {
      const std::string& value = record.fields.find(name)->second;
      return as_label ? labels_.at(value) : value;
    });
  }

  Template prompt_, completion_;
  std::map<std::string, std::string> labels_;
  std::vector<std::string> candidates_;
  bool implicit_ = false;
};

absl::StatusOr<std::vector<Example>> load_records(const DataSource& source) {
  FRUGAL_ASSIGN_OR_RETURN(const Composer composer, Composer::create(source));
  std::vector<Example> examples;
  const auto take = [&](const Record& record) -> absl::StatusOr<bool> {
    FRUGAL_ASSIGN_OR_RETURN(Example example, composer.compose(record));
    examples.push_back(std::move(example));
    return source.limit == 0 || static_cast<int64_t>(examples.size()) < source.limit;
  };
  FRUGAL_RETURN_IF_ERROR(source.jsonl.empty() ? read_table(source.table, take)
                                              : read_jsonl(source.jsonl, take));
  return examples;
}

absl::Status check(const DataSource& source) {
  const int given = int{!source.text.empty()} + int{!source.jsonl.empty()} +
                    int{!source.table.empty()} + int{!source.builtin.empty()};
  if (given != 1) {
    return base::invalid_argument(
        "data needs exactly one of text, jsonl, table and builtin; found ", given);
  }
  if (source.limit < 0) return base::invalid_argument("data: limit ", source.limit, " is negative");
  if (!source.builtin.empty() && source.builtin != "storefront") {
    const std::vector<std::string> names = {"storefront"};
    return base::invalid_argument("unknown builtin data '", source.builtin, "'",
                                  base::suggestion(source.builtin, names));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<Example>> load_examples(const DataSource& source) {
  FRUGAL_RETURN_IF_ERROR(check(source));
  std::vector<Example> examples;
  if (!source.builtin.empty()) {
    FRUGAL_ASSIGN_OR_RETURN(
        examples, storefront_examples({source.split, source.task, source.limit, source.seed}));
  } else if (!source.text.empty()) {
    FRUGAL_ASSIGN_OR_RETURN(examples, load_text(source));
  } else {
    FRUGAL_ASSIGN_OR_RETURN(examples, load_records(source));
  }
  if (examples.empty()) {
    return base::invalid_argument(
        "data: '",
        source.text.empty() ? base::str_cat(source.jsonl, source.table) : source.text.front(),
        "' yields no example");
  }
  return examples;
}

namespace {

// Plain text from the heads of its files.
absl::StatusOr<ExampleHead> first_texts(const DataSource& source, int64_t bytes) {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<fs::path> files, expand(source.text));
  ExampleHead head;
  int64_t total = 0;
  for (size_t i = 0; i < files.size(); ++i) {
    if (source.limit > 0 && static_cast<int64_t>(i) >= source.limit) break;
    if (total >= bytes) return head;
    FRUGAL_ASSIGN_OR_RETURN(std::string text, read_data_head(files[i]));
    std::error_code error;
    const bool cut = text.size() >= kDataHeadBytes || base::suffix_of(files[i]) == ".gz";
    total += static_cast<int64_t>(text.size());
    head.examples.push_back(
        {.id = files[i].filename().string(), .completion = with_unix_line_ends(text)});
    if (cut) return head;
  }
  head.all = true;
  return head;
}

}  // namespace

absl::StatusOr<ExampleHead> first_examples(const DataSource& source, int64_t bytes) {
  FRUGAL_RETURN_IF_ERROR(check(source));
  if (!source.text.empty()) return first_texts(source, bytes);
  constexpr int64_t kFirst = 32, kGrowth = 16;
  ExampleHead head;
  for (int64_t limit = kFirst;; limit *= kGrowth) {
    DataSource part = source;
    part.limit = source.limit > 0 ? std::min(source.limit, limit) : limit;
    FRUGAL_ASSIGN_OR_RETURN(head.examples, load_examples(part));
    head.all =
        part.limit == source.limit || static_cast<int64_t>(head.examples.size()) < part.limit;
    int64_t total = 0;
    for (const Example& example : head.examples)
      total += static_cast<int64_t>(example.prompt.size() + example.completion.size());
    if (head.all || total >= bytes) return head;
  }
}

absl::Status check_data(const DataSource& source) {
  FRUGAL_RETURN_IF_ERROR(check(source));
  if (!source.builtin.empty()) return absl::OkStatus();
  if (!source.text.empty()) {
    FRUGAL_ASSIGN_OR_RETURN(const std::vector<fs::path> files, expand(source.text));
    for (const fs::path& file : files) {
      FRUGAL_ASSIGN_OR_RETURN(const std::string head, read_data_head(file));
      FRUGAL_RETURN_IF_ERROR(refuse_records(head, file));
    }
    return absl::OkStatus();
  }
  const fs::path file = source.jsonl.empty() ? source.table : source.jsonl;
  std::error_code error;
  const auto size = fs::file_size(file, error);
  // One record says whether the templates fit; a large file is read when the step runs.
  constexpr uintmax_t kReadAtOnceBytes = uintmax_t{64} << 20;
  if (error || size > kReadAtOnceBytes) return read_data_head(file).status();
  DataSource first = source;
  first.limit = 1;
  return load_examples(first).status();
}

absl::StatusOr<std::vector<fs::path>> data_files(const DataSource& source) {
  FRUGAL_RETURN_IF_ERROR(check(source));
  if (!source.builtin.empty()) return std::vector<fs::path>{};
  if (!source.text.empty()) return expand(source.text);
  return std::vector<fs::path>{source.jsonl.empty() ? source.table : source.jsonl};
}

absl::StatusOr<std::string> content_hash(const DataSource& source) {
  FRUGAL_RETURN_IF_ERROR(check(source));
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
