#include "tasks/task_file.h"

#include <map>

#include "support/shared_data.h"

namespace frugal::tasks {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
const std::string kWhole =
    "task: t\ndataset_path: json\ndataset_kwargs: {data_files: {test: d.jsonl}}\ntest_split: test\n"
    "doc_to_text: q\ndoc_to_target: a\n";

using Files = std::map<std::string, std::string>;

absl::StatusOr<TaskConfig> read(const Files& files) {
  return read_task("in/t.yaml",
                   [&](const std::filesystem::path& path) -> absl::StatusOr<std::string> {
                     const auto found = files.find(path.string());
                     if (found == files.end()) return base::not_found("no file ", path.string());
                     return found->second;
                   });
}
absl::StatusOr<TaskConfig> read(const std::string& text) {
  return read(Files{{"in/t.yaml", text}});
}

TEST(TaskFile, HasTheDefaultsOfLmEvaluationHarness) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TaskConfig task, read(kWhole));
  EXPECT_EQ(task.type, OutputType::kGenerateUntil);
  EXPECT_EQ(task.target_delimiter, " ");
  EXPECT_EQ(task.fewshot_delimiter, "\n\n");
  EXPECT_EQ(task.generation.until, std::vector<std::string>{"\n\n"});
  EXPECT_EQ(task.generation.max_new_tokens, 256);
  EXPECT_EQ(task.fewshot.count, 0);
  EXPECT_EQ(task.fewshot.sampler, "default");
  EXPECT_EQ(task.evaluated_split(), "test");
  ASSERT_EQ(task.metrics.size(), 1u);
  EXPECT_EQ(task.metrics[0].name, "exact_match");
  ASSERT_EQ(task.filters.size(), 1u);
  EXPECT_EQ(task.filters[0].name, "none");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TaskConfig choice,
                              read(kWhole + "output_type: multiple_choice\ndoc_to_choice: c\n"));
  ASSERT_EQ(choice.metrics.size(), 2u);
  EXPECT_EQ(choice.metrics[1].name, "acc_norm");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TaskConfig rolling,
                              read(kWhole + "output_type: loglikelihood_rolling\n"));
  EXPECT_EQ(rolling.metrics.size(), 3u);
}

TEST(TaskFile, IncludesOthersAndItsOwnKeysWin) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const TaskConfig task,
      read(Files{{"in/t.yaml", "include: [../base, more.yaml]\ntask: t\nmetadata: {version: 2}\n"},
                 {"base", kWhole + "description: base\nmetadata: {version: 1}\n"},
                 {"in/more.yaml", "description: more\ntask: other\n"}}));
  EXPECT_EQ(task.name, "t");
  EXPECT_EQ(task.description, "more");
  EXPECT_EQ(task.version, 2);
  EXPECT_EQ(task.files.size(), 3u);
  FRUGAL_EXPECT_ERROR(read(Files{{"in/t.yaml", "include: t.yaml\n"}}), kInvalid, "includes itself");
  FRUGAL_EXPECT_ERROR(read(Files{{"in/t.yaml", "include: 3\n"}}), kInvalid,
                      "t.yaml:1: include names a file");
  FRUGAL_EXPECT_ERROR(read(Files{{"in/t.yaml", "include: gone\n"}}), absl::StatusCode::kNotFound,
                      "in/gone");
}

TEST(TaskFile, NamesTheFileThatAKeyStandsIn) {
  const std::string base = kWhole + "fewshot_config: {split: 1, samplr: x}\n";
  FRUGAL_EXPECT_ERROR(read(Files{{"in/t.yaml", "include: b.yaml\n"}, {"in/b.yaml", base}}),
                      kInvalid, "b.yaml:7: split is 1");
  FRUGAL_EXPECT_ERROR(read(Files{{"in/t.yaml", "include: b.yaml\nfewshot_config:\n  split: 2\n"},
                                 {"in/b.yaml", base}}),
                      kInvalid, "t.yaml:3: split is 2");
}

TEST(TaskFile, RefusesByNameWhatItDoesNotRead) {
  const auto refused = [](const std::string& more, std::string_view why) {
    SCOPED_TRACE(more);
    FRUGAL_EXPECT_ERROR(read(kWhole + more), kInvalid, std::string(why));
  };
  refused("process_results: x\n",
          "t.yaml:7: 'process_results' is not supported by frugal: results");
  refused("doc_to_image: x\n", "frugal evaluates text only");
  refused("doc_to_txt: x\n", "t.yaml:7: 'doc_to_txt' is not known; did you mean 'doc_to_text'?");
  refused("process_docs: swag\n", "frugal has no preprocessing 'swag'");
  refused("output_type: multiple_chioce\n", "unknown output_type 'multiple_chioce'");
  refused("output_type: multiple_choice\n", "needs doc_to_choice");
  refused("repeats: 3\n", "repeats is 3, expected a whole number from 1 to 1");
  refused("metric_list: [{metric: bleu}]\n", "no metric 'bleu' of generate_until");
  refused("metric_list: [{metric: exact_match, aggregation: median}]\n", "aggregation 'median'");
  refused("metric_list: [{metric: exact_match, regexes_to_ignore: ['(']}]\n",
          "t.yaml:7: regular expression '('");
  refused("filter_list: [{name: a, filter: [{function: map}]}]\n", "no filter 'map'");
  refused("filter_list: [{name: a, filter: []}, {name: a, filter: []}]\n", "a name of its own");
  refused("output_type: loglikelihood\nfilter_list: [{name: a, filter: [{function: regex}]}]\n",
          "the filter 'regex' is of generated text");
  refused("generation_kwargs: {do_sample: true}\n", "answers are generated greedily");
  refused("generation_kwargs: {temperature: 0.5}\n", "answers are generated greedily");
  refused("fewshot_config: {sampler: balanced}\n", "unknown sampler 'balanced'");
  refused("doc_to_choice: [no, yes]\n", "quote them");
  refused("description: yes\n", "description is true, expected text; quote it");
  refused("num_fewshot: -1\n", "num_fewshot is -1");
  refused("unsafe_code: true\n", "runs what the model writes");
}

TEST(TaskFile, SaysWhatIsMissing) {
  FRUGAL_EXPECT_ERROR(read("task: t\n"), kInvalid, "dataset_path: json");
  FRUGAL_EXPECT_ERROR(read("task: t\n"), kInvalid, "there is nothing to evaluate");
  FRUGAL_EXPECT_ERROR(read("task: t\n"), kInvalid, "doc_to_text is missing");
  FRUGAL_EXPECT_ERROR(read("task: t\n"), kInvalid, "doc_to_target is missing");
  FRUGAL_EXPECT_ERROR(read("task: t\ndataset_kwargs: {data_dir: x}\n"), kInvalid,
                      "t.yaml:2: 'data_dir' is not read here");
  FRUGAL_EXPECT_ERROR(read("group: g\ntask: [a, b]\n"), kInvalid, "a group of tasks");
}

}  // namespace
}  // namespace frugal::tasks
