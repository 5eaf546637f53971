#include "tasks/task_file.h"

#include <algorithm>
#include <set>

#include "base/file.h"
#include "tasks/merged_task.h"
#include "tasks/python_regex.h"
#include "tasks/task_reader.h"

namespace frugal::tasks {
namespace {

namespace fs = std::filesystem;
using base::Json;

constexpr int64_t kMaxFileBytes = int64_t{1} << 20;

// Keys that mean something, and keys that may be there and change nothing that frugal computes.
const std::vector<std::string> kKeys = {"task",
                                        "dataset_path",
                                        "dataset_name",
                                        "dataset_kwargs",
                                        "training_split",
                                        "validation_split",
                                        "test_split",
                                        "fewshot_split",
                                        "process_docs",
                                        "doc_to_text",
                                        "doc_to_target",
                                        "doc_to_choice",
                                        "description",
                                        "target_delimiter",
                                        "fewshot_delimiter",
                                        "fewshot_config",
                                        "num_fewshot",
                                        "output_type",
                                        "generation_kwargs",
                                        "metric_list",
                                        "filter_list",
                                        "metadata",
                                        "gen_prefix",
                                        "repeats",
                                        "task_alias",
                                        "tag",
                                        "group",
                                        "should_decontaminate",
                                        "unsafe_code",
                                        "use_prompt",
                                        "include",
                                        "doc_to_decontamination_query"};

// Keys of lm-evaluation-harness that frugal has no answer to.
const std::map<std::string, std::string, std::less<>> kRefused = {
    {"process_results",
     "results are made by the metrics that metric_list names; use those, or lm-evaluation-harness"},
    {"custom_dataset", "documents come from files; write them as JSON lines"},
    {"doc_to_image", "frugal evaluates text only"},
    {"doc_to_audio", "frugal evaluates text only"},
    {"class", "a task in Python is not run; write its templates"},
    {"task_list", "give each task a file of its own"},
    {"aggregate_metric_list", "groups are not aggregated; evaluate the tasks one by one"}};

struct MetricKind {
  std::string_view name;
  OutputType type;
  std::string_view aggregation;
  bool higher_is_better;
};
constexpr MetricKind kMetrics[] = {
    {"perplexity", OutputType::kLogLikelihood, "perplexity", false},
    {"acc", OutputType::kLogLikelihood, "mean", true},
    {"acc", OutputType::kMultipleChoice, "mean", true},
    {"acc_norm", OutputType::kMultipleChoice, "mean", true},
    {"acc_bytes", OutputType::kMultipleChoice, "mean", true},
    {"exact_match", OutputType::kMultipleChoice, "mean", true},
    {"word_perplexity", OutputType::kRolling, "weighted_perplexity", false},
    {"byte_perplexity", OutputType::kRolling, "weighted_perplexity", false},
    {"bits_per_byte", OutputType::kRolling, "bits_per_byte", false},
    {"exact_match", OutputType::kGenerateUntil, "mean", true}};

class Filler {
 public:
  Filler(const MergedTask& merged, TaskConfig& config)
      : map_(merged.value), reader_(merged), config_(config) {}

  absl::Status fill() {
    check_keys();
    read_type();
    read_data();
    read_fields();
    read_fewshot();
    read_generation();
    read_metrics();
    read_filters();
    read_version();
    return reader_.status();
  }

 private:
  std::string text(std::string_view key, std::string fallback = "") {
    return reader_.text(map_, "", key, std::move(fallback));
  }

  void check_keys() {
    for (const auto& [key, value] : map_.items()) {
      if (const auto refused = kRefused.find(key); refused != kRefused.end()) {
        if (!value.is_null())
          reader_.complain(key, "'", key, "' is not supported by frugal: ", refused->second);
      } else if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end()) {
        reader_.complain(key, "'", key, "' is not known", base::suggestion(key, kKeys));
      }
    }
    if (TaskReader::get(map_, "task").is_array() || map_.contains("group"))
      reader_.complain(map_.contains("group") ? "group" : "task",
                       "a group of tasks; evaluate its tasks, each by its own file");
    else
      config_.name = text("task");
    if (config_.name.empty() && !map_.contains("group"))
      reader_.complain("task", "a task needs a name (task: …)");
    if (!TaskReader::get(map_, "use_prompt").is_null())
      reader_.complain("use_prompt",
                       "promptsource is not used; write doc_to_text and doc_to_target");
    if (reader_.truth(map_, "", "unsafe_code", false))
      reader_.complain("unsafe_code", "a task that runs what the model writes is not evaluated");
    reader_.integer(map_, "", "repeats", 1, 1, 1);
  }

  void read_type() {
    const std::string name = text("output_type", "generate_until");
    for (const OutputType type : {OutputType::kLogLikelihood, OutputType::kMultipleChoice,
                                  OutputType::kRolling, OutputType::kGenerateUntil}) {
      if (to_string(type) != name) continue;
      config_.type = type;
      return;
    }
    const std::vector<std::string> names = {"loglikelihood", "multiple_choice",
                                            "loglikelihood_rolling", "generate_until"};
    reader_.complain("output_type", "unknown output_type '", name, "'",
                     base::suggestion(name, names));
  }

  void read_data() {
    config_.dataset_path = text("dataset_path");
    if (config_.dataset_path.empty())
      reader_.complain("dataset_path",
                       "a task needs its documents: dataset_path: json, and "
                       "dataset_kwargs: {data_files: {test: FILE}}");
    config_.dataset_name = text("dataset_name");
    config_.training_split = text("training_split");
    config_.validation_split = text("validation_split");
    config_.test_split = text("test_split");
    if (config_.evaluated_split().empty())
      reader_.complain("test_split",
                       "there is nothing to evaluate; name a test_split or a "
                       "validation_split");
    config_.preprocessing = text("process_docs");
    const std::vector<std::string> known = preprocessings();
    if (!config_.preprocessing.empty() &&
        std::find(known.begin(), known.end(), config_.preprocessing) == known.end())
      reader_.complain("process_docs", "frugal has no preprocessing '", config_.preprocessing, "'",
                       base::suggestion(config_.preprocessing, known));
    read_data_files();
  }

  void read_data_files() {
    const bool from_files = config_.dataset_path == "json" || config_.dataset_path == "csv";
    const Json& kwargs = TaskReader::get(map_, "dataset_kwargs");
    if (kwargs.is_null()) {
      if (from_files)
        reader_.complain("dataset_path", "dataset_path: ", config_.dataset_path,
                         " needs dataset_kwargs: {data_files: …}");
      return;
    }
    if (!reader_.is_map(kwargs, "dataset_kwargs", "dataset_kwargs")) return;
    reader_.only(kwargs, "dataset_kwargs", {"data_files", "delimiter", "sep", "trust_remote_code"});
    for (const char* key : {"delimiter", "sep"}) {
      const std::string separator = reader_.text(kwargs, "dataset_kwargs", key);
      if (separator.size() > 1 || (!separator.empty() && config_.dataset_path != "csv"))
        reader_.complain(base::str_cat("dataset_kwargs.", key), key,
                         " is one character, of dataset_path: csv");
      if (separator.size() == 1) config_.separator = separator[0];
    }
    const Json& files = TaskReader::get(kwargs, "data_files");
    if (files.is_null()) return;
    if (!from_files)
      reader_.complain("dataset_kwargs.data_files", "data_files is of dataset_path: json or csv");
    // A file without a split is the split "train".
    const Json by_split = files.is_object() ? files : Json{{"train", files}};
    for (const auto& [split, names] : by_split.items()) {
      config_.data_files[split] = reader_.texts(by_split, "dataset_kwargs.data_files", split);
    }
  }

  void read_fields() {
    const bool answers = config_.type != OutputType::kRolling;
    config_.text = reader_.field(map_, "", "doc_to_text", true, false);
    config_.target = reader_.field(map_, "", "doc_to_target", true, true);
    config_.choice = reader_.field(map_, "", "doc_to_choice", false, true);
    config_.prefix = reader_.field(map_, "", "gen_prefix", false, false);
    if (config_.text.is_null() && answers)
      reader_.complain("doc_to_text", "doc_to_text is missing: the question");
    if (config_.text.is_number())
      reader_.complain("doc_to_text",
                       "a doc_to_text that is a number makes each choice a question of its own, "
                       "which is not supported; write the question as a template");
    if (config_.target.is_null())
      reader_.complain("doc_to_target", "doc_to_target is missing: the answer");
    if (config_.type == OutputType::kMultipleChoice && config_.choice.is_null())
      reader_.complain("doc_to_choice", "output_type: multiple_choice needs doc_to_choice");
    config_.description = text("description");
    config_.target_delimiter = text("target_delimiter", config_.target_delimiter);
    config_.fewshot_delimiter = text("fewshot_delimiter", config_.fewshot_delimiter);
  }

  void read_fewshot() {
    FewShotConfig& shots = config_.fewshot;
    shots.count = reader_.integer(map_, "", "num_fewshot", 0, 0, 1000);
    shots.split = text("fewshot_split");
    shots.text = config_.text;
    shots.target = config_.target;
    shots.choice = config_.choice;
    shots.prefix = config_.prefix;
    shots.target_delimiter = config_.target_delimiter;
    shots.delimiter = config_.fewshot_delimiter;
    const Json& map = TaskReader::get(map_, "fewshot_config");
    constexpr std::string_view kAt = "fewshot_config";
    if (map.is_null() || !reader_.is_map(map, kAt, kAt)) return;
    reader_.only(map, kAt,
                 {"sampler", "split", "samples", "fewshot_indices", "doc_to_text", "doc_to_target",
                  "doc_to_choice", "gen_prefix", "fewshot_delimiter", "target_delimiter"});
    shots.sampler = reader_.text(map, kAt, "sampler", shots.sampler);
    if (shots.sampler != "default" && shots.sampler != "first_n")
      reader_.complain("fewshot_config.sampler", "unknown sampler '", shots.sampler,
                       "'; expected default or first_n");
    shots.split = reader_.text(map, kAt, "split", shots.split);
    read_own_fields(map);
    read_samples(TaskReader::get(map, "samples"));
    read_indices(TaskReader::get(map, "fewshot_indices"));
  }

  void read_own_fields(const Json& map) {
    FewShotConfig& shots = config_.fewshot;
    constexpr std::string_view kAt = "fewshot_config";
    if (map.contains("doc_to_text"))
      shots.text = reader_.field(map, kAt, "doc_to_text", false, false);
    if (map.contains("doc_to_target"))
      shots.target = reader_.field(map, kAt, "doc_to_target", true, true);
    if (map.contains("doc_to_choice"))
      shots.choice = reader_.field(map, kAt, "doc_to_choice", false, true);
    if (map.contains("gen_prefix"))
      shots.prefix = reader_.field(map, kAt, "gen_prefix", false, false);
    shots.target_delimiter = reader_.text(map, kAt, "target_delimiter", shots.target_delimiter);
    shots.delimiter = reader_.text(map, kAt, "fewshot_delimiter", shots.delimiter);
  }

  void read_samples(const Json& samples) {
    if (samples.is_null()) return;
    constexpr std::string_view kAt = "fewshot_config.samples";
    if (!samples.is_array()) return reader_.complain(kAt, "samples is a list of documents");
    for (const Json& sample : samples) {
      if (reader_.is_map(sample, kAt, "a sample")) config_.fewshot.samples.push_back(sample);
    }
    config_.fewshot.has_samples = true;
  }

  void read_indices(const Json& indices) {
    if (indices.is_null()) return;
    constexpr std::string_view kAt = "fewshot_config.fewshot_indices";
    if (!indices.is_array()) return reader_.complain(kAt, "fewshot_indices is a list of numbers");
    for (const Json& index : indices) {
      if (index.is_number_integer() && index.get<int64_t>() >= 0)
        config_.fewshot.indices.push_back(index.get<int64_t>());
      else
        reader_.complain(kAt, "fewshot_indices holds ", index.dump(), ", expected whole numbers");
    }
  }

  void read_generation() {
    const Json& map = TaskReader::get(map_, "generation_kwargs");
    config_.generation.until = {config_.fewshot_delimiter};
    constexpr std::string_view kAt = "generation_kwargs";
    if (map.is_null() || !reader_.is_map(map, kAt, kAt)) return;
    reader_.only(map, kAt,
                 {"until", "max_gen_toks", "max_new_tokens", "max_tokens", "do_sample",
                  "temperature", "top_p", "top_k"});
    if (map.contains("until")) config_.generation.until = reader_.texts(map, kAt, "until");
    for (const char* key : {"max_tokens", "max_new_tokens", "max_gen_toks"}) {
      config_.generation.max_new_tokens =
          reader_.integer(map, kAt, key, config_.generation.max_new_tokens, 1, 1 << 20);
    }
    const Json& temperature = TaskReader::get(map, "temperature");
    const bool heated = temperature.is_number() && temperature.get<double>() > 0.0;
    const Json& sampled = TaskReader::get(map, "do_sample");
    const bool draws = sampled.is_null() ? heated : reader_.truth(map, kAt, "do_sample", false);
    if (draws)
      reader_.complain(kAt,
                       "answers are generated greedily, so that they can be repeated; set "
                       "do_sample: false");
  }

  void read_metrics() {
    const Json& list = TaskReader::get(map_, "metric_list");
    if (list.is_null()) {
      for (const MetricKind& kind : kMetrics) {
        const bool left_out = config_.type == OutputType::kMultipleChoice && kind.name != "acc" &&
                              kind.name != "acc_norm";
        if (kind.type == config_.type && !left_out)
          config_.metrics.push_back(
              {.name = std::string(kind.name), .higher_is_better = kind.higher_is_better});
      }
      return;
    }
    if (!list.is_array() || list.empty())
      return reader_.complain("metric_list", "metric_list is a list of metrics (- metric: acc)");
    for (size_t i = 0; i < list.size(); ++i) {
      const std::string at = base::str_cat("metric_list.", i);
      if (reader_.is_map(list[i], at, "a metric")) read_metric(list[i], at);
    }
  }

  void read_metric(const Json& map, const std::string& at) {
    MetricConfig metric;
    metric.name = reader_.text(map, at, "metric");
    std::vector<std::string> names;
    const MetricKind* found = nullptr;
    for (const MetricKind& kind : kMetrics) {
      if (kind.type != config_.type) continue;
      names.emplace_back(kind.name);
      if (kind.name == metric.name) found = &kind;
    }
    if (found == nullptr)
      return reader_.complain(TaskReader::path(at, "metric"), "no metric '", metric.name, "' of ",
                              to_string(config_.type), base::suggestion(metric.name, names));
    std::vector<std::string> keys = {"metric", "aggregation", "higher_is_better", "hf_evaluate"};
    const bool matches = config_.type == OutputType::kGenerateUntil;
    if (matches)
      keys.insert(keys.end(),
                  {"ignore_case", "ignore_punctuation", "ignore_numbers", "regexes_to_ignore"});
    reader_.only(map, at, keys);
    const std::string aggregation =
        reader_.text(map, at, "aggregation", std::string(found->aggregation));
    if (aggregation != found->aggregation)
      reader_.complain(TaskReader::path(at, "aggregation"), "aggregation '", aggregation, "' of ",
                       metric.name, " is not supported; expected ", found->aggregation);
    metric.higher_is_better = reader_.truth(map, at, "higher_is_better", found->higher_is_better);
    metric.ignore_case = reader_.truth(map, at, "ignore_case", false);
    metric.ignore_punctuation = reader_.truth(map, at, "ignore_punctuation", false);
    metric.ignore_numbers = reader_.truth(map, at, "ignore_numbers", false);
    metric.regexes_to_ignore = reader_.texts(map, at, "regexes_to_ignore");
    for (const std::string& regex : metric.regexes_to_ignore)
      check_pattern(regex, TaskReader::path(at, "regexes_to_ignore"));
    config_.metrics.push_back(std::move(metric));
  }

  void check_pattern(const std::string& pattern, const std::string& at) {
    const absl::Status status = PythonRegex::compile(pattern).status();
    if (!status.ok()) reader_.complain(at, status.message());
  }

  void read_filters() {
    const Json& list = TaskReader::get(map_, "filter_list");
    if (list.is_null()) {
      config_.filters = {{"none", {FilterStep{}}}};
      return;
    }
    if (!list.is_array() || list.empty())
      return reader_.complain("filter_list", "filter_list is a list of filters (- name: …)");
    std::set<std::string> names;
    for (size_t i = 0; i < list.size(); ++i) {
      const std::string at = base::str_cat("filter_list.", i);
      if (!reader_.is_map(list[i], at, "a filter")) continue;
      reader_.only(list[i], at, {"name", "filter"});
      FilterConfig filter{.name = reader_.text(list[i], at, "name"), .steps = {}};
      if (filter.name.empty() || !names.insert(filter.name).second)
        reader_.complain(at, "a filter needs a name of its own");
      const Json& steps = TaskReader::get(list[i], "filter");
      if (!steps.is_array()) reader_.complain(at, "filter is a list of functions");
      for (size_t s = 0; steps.is_array() && s < steps.size(); ++s) {
        const std::string step = base::str_cat(at, ".filter.", s);
        if (reader_.is_map(steps[s], step, "a function")) read_step(steps[s], step, filter);
      }
      config_.filters.push_back(std::move(filter));
    }
  }

  void read_step(const Json& map, const std::string& at, FilterConfig& filter) {
    const std::string function = reader_.text(map, at, "function");
    FilterStep step;
    if (function == "regex") {
      reader_.only(map, at, {"function", "regex_pattern", "group_select", "fallback"});
      step.kind = FilterStep::Kind::kRegex;
      step.pattern = reader_.text(map, at, "regex_pattern", R"(#### (\-?[0-9\.\,]+))");
      step.group_select = reader_.integer(map, at, "group_select", 0, -1000, 1000);
      step.fallback = reader_.text(map, at, "fallback", step.fallback);
      check_pattern(step.pattern, TaskReader::path(at, "regex_pattern"));
    } else if (function == "remove_whitespace" || function == "take_first" ||
               function == "lowercase") {
      reader_.only(map, at, {"function"});
      step.kind = function == "take_first"  ? FilterStep::Kind::kTakeFirst
                  : function == "lowercase" ? FilterStep::Kind::kLowercase
                                            : FilterStep::Kind::kRemoveWhitespace;
    } else {
      const std::vector<std::string> names = {"regex", "take_first", "remove_whitespace",
                                              "lowercase"};
      return reader_.complain(TaskReader::path(at, "function"), "no filter '", function, "'",
                              base::suggestion(function, names));
    }
    if (step.kind != FilterStep::Kind::kTakeFirst && config_.type != OutputType::kGenerateUntil)
      reader_.complain(at, "the filter '", function, "' is of generated text");
    filter.steps.push_back(std::move(step));
  }

  void read_version() {
    const Json& metadata = TaskReader::get(map_, "metadata");
    if (metadata.is_null() || !reader_.is_map(metadata, "metadata", "metadata")) return;
    config_.version = TaskReader::get(metadata, "version");
  }

  const Json& map_;
  TaskReader reader_;
  TaskConfig& config_;
};

}  // namespace

std::string_view to_string(OutputType type) {
  switch (type) {
    case OutputType::kLogLikelihood:
      return "loglikelihood";
    case OutputType::kMultipleChoice:
      return "multiple_choice";
    case OutputType::kRolling:
      return "loglikelihood_rolling";
    case OutputType::kGenerateUntil:
      return "generate_until";
  }
  return "";
}

std::vector<std::string> preprocessings() { return {"hellaswag", std::string(kWikitext)}; }

absl::StatusOr<TaskConfig> read_task(const fs::path& file) {
  return read_task(file, [](const fs::path& path) { return base::read_file(path, kMaxFileBytes); });
}

absl::StatusOr<TaskConfig> read_task(const fs::path& file, const ReadFile& read) {
  FRUGAL_ASSIGN_OR_RETURN(MergedTask merged, merge_includes(file, read));
  TaskConfig config;
  config.folder = file.parent_path();
  config.files = merged.files;
  FRUGAL_RETURN_IF_ERROR(Filler(merged, config).fill());
  config.written = std::move(merged.value);
  return config;
}

}  // namespace frugal::tasks
