// Task files: what lm-evaluation-harness asks a model, as its YAML says it, as far as that needs no
// Python.
//
// Read are: include, task, dataset_path (json, csv, or any name with documents in a folder of the
// user's) with dataset_kwargs.data_files, the splits, doc_to_text/target/choice, description,
// delimiters, gen_prefix, fewshot_config (first_n, default; explicit samples), num_fewshot,
// output_type, generation_kwargs, metric_list, filter_list (regex, take_first, remove_whitespace,
// lowercase), metadata.version. `process_docs` names a preprocessing that frugal has. Every other
// key is refused by its name and line. Files are untrusted.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace frugal::tasks {

enum class OutputType { kLogLikelihood, kMultipleChoice, kRolling, kGenerateUntil };
// "loglikelihood", "multiple_choice", "loglikelihood_rolling", "generate_until".
std::string_view to_string(OutputType type);

// A doc_to_* field: the name of a column, a template, a number or a list; null: not given.
using Field = base::Json;

struct FewShotConfig {
  int64_t count = 0;                // num_fewshot
  std::string sampler = "default";  // random.Random(1234).sample for each document, or "first_n"
  std::string split;                // empty: samples, or example_split()
  std::vector<base::Json> samples;  // documents
  bool has_samples = false;
  std::vector<int64_t> indices;  // of the documents to draw from; empty: all
  Field text, target, choice, prefix;
  std::string target_delimiter, delimiter;
};

struct MetricConfig {
  std::string name;
  bool higher_is_better = true;
  // exact_match only
  bool ignore_case = false, ignore_punctuation = false, ignore_numbers = false;
  std::vector<std::string> regexes_to_ignore;
};

struct FilterStep {
  enum class Kind { kRegex, kTakeFirst, kRemoveWhitespace, kLowercase };
  Kind kind = Kind::kTakeFirst;
  std::string pattern;       // kRegex
  int64_t group_select = 0;  // kRegex: which match; negative: from the last
  std::string fallback = "[invalid]";
};
struct FilterConfig {
  std::string name;
  std::vector<FilterStep> steps;
};

struct GenerationConfig {
  std::vector<std::string> until;
  int64_t max_new_tokens = 256;
};

struct TaskConfig {
  std::string name;
  OutputType type = OutputType::kGenerateUntil;
  std::string dataset_path, dataset_name;
  std::map<std::string, std::vector<std::string>> data_files;  // by split, as written
  char separator = 0;                                          // csv; 0: by the header
  std::string training_split, validation_split, test_split;
  std::string preprocessing;  // process_docs; empty: none
  Field text, target, choice, prefix;
  std::string description, target_delimiter = " ", fewshot_delimiter = "\n\n";
  FewShotConfig fewshot;
  GenerationConfig generation;
  std::vector<MetricConfig> metrics;
  std::vector<FilterConfig> filters;  // "none" where the file has no list
  base::Json version = nullptr;
  std::filesystem::path folder;              // of the task file
  std::vector<std::filesystem::path> files;  // the task file and what it includes
  base::Json written;                        // the keys with all includes in them

  // The split that is evaluated: test, else validation.
  const std::string& evaluated_split() const {
    return test_split.empty() ? validation_split : test_split;
  }
};

// Of pages of WikiText: makes a column `text` of `page`; words and bytes are counted in the page.
inline constexpr std::string_view kWikitext = "wikitext";
// Preprocessings of documents that frugal has in the place of Python.
std::vector<std::string> preprocessings();

using ReadFile = std::function<absl::StatusOr<std::string>(const std::filesystem::path&)>;

// Errors: file, line and key; what was found, what is read and what to do; a file that includes
// itself.
absl::StatusOr<TaskConfig> read_task(const std::filesystem::path& file);
// The same of files that `read` gives.
absl::StatusOr<TaskConfig> read_task(const std::filesystem::path& file, const ReadFile& read);

}  // namespace frugal::tasks
