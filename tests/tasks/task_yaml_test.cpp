#include "tasks/task_yaml.h"

#include "support/shared_data.h"

namespace frugal::tasks {
namespace {

using base::Json;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(TaskYaml, ReadsScalarsAsPyYamlDoes) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const TaskYaml yaml,
      parse_task_yaml("a: 1.0\nb: -12\nc: no\nd: \"no\"\ne: 1e3\nf: null\ng: [On, '', text, ~]\n"
                      "h: |\n  two\n  lines\ni: .5\nj: 1.5e+3\nk: \"\\n\\n\"\n",
                      "t.yaml"));
  EXPECT_EQ(yaml.value.dump(),
            R"({"a":1.0,"b":-12,"c":false,"d":"no","e":"1e3","f":null,"g":[true,"","text",null],)"
            R"("h":"two\nlines\n","i":0.5,"j":1500.0,"k":"\n\n"})");
}

TEST(TaskYaml, KnowsWhereKeysStand) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const TaskYaml yaml,
      parse_task_yaml("task: x\nmetric_list:\n  - metric: acc\n  - aggregation: mean\n    metric: "
                      "acc_norm\n",
                      "t.yaml"));
  EXPECT_EQ(yaml.lines.at("metric_list"), 2);
  EXPECT_EQ(yaml.lines.at("metric_list.0.metric"), 3);
  EXPECT_EQ(yaml.lines.at("metric_list.1.metric"), 5);
}

TEST(TaskYaml, RefusesPythonByNameWithTheRemedy) {
  FRUGAL_EXPECT_ERROR(
      parse_task_yaml("task: x\nprocess_docs: !function utils.process_docs\n", "dir/t.yaml"),
      kInvalid,
      "dir/t.yaml:2:15: !function utils.process_docs is Python, which frugal does not run; write a "
      "template");
}

TEST(TaskYaml, ReportsAllProblemsAtOnce) {
  FRUGAL_EXPECT_ERROR(
      parse_task_yaml("a: &x 1\nb: *x\na: 2\nc: !!str 3\nd: 0x1f\ne: 12:30\n<<: {}\n", "t"),
      kInvalid,
      "t:1:4: an anchor (&name) is not read; write the value out\n"
      "t:2:4: an alias (*name) is not read; write the value out\n"
      "t:3:1: the key 'a' stands twice\n"
      "t:4:4: the tag 'tag:yaml.org,2002:str' is not read");
  FRUGAL_EXPECT_ERROR(parse_task_yaml("d: 0x1f\n", "t"), kInvalid, "'0x1f' is read as a number");
  FRUGAL_EXPECT_ERROR(parse_task_yaml("d: 012\n", "t"), kInvalid, "'012' is read as a number");
  FRUGAL_EXPECT_ERROR(parse_task_yaml("a: [1\n", "t"), kInvalid, "not YAML");
  FRUGAL_EXPECT_ERROR(parse_task_yaml("- a\n", "t"), kInvalid, "a task file is a mapping");
  FRUGAL_EXPECT_ERROR(parse_task_yaml("a: 1\n---\nb: 2\n", "t"), kInvalid, "a second document");
  // yaml-cpp sees documents without end in front of the comma.
  FRUGAL_EXPECT_ERROR(parse_task_yaml(",task: x\n", "t"), kInvalid, "t:");
}

TEST(TaskYaml, RefusesWhatIsTooDeepOrTooLarge) {
  FRUGAL_EXPECT_ERROR(parse_task_yaml("a: " + std::string(60, '[') + std::string(60, ']'), "t"),
                      kInvalid, "nested too deeply");
  FRUGAL_EXPECT_ERROR(parse_task_yaml(std::string(size_t{2} << 20, ' '), "t"),
                      absl::StatusCode::kResourceExhausted, "are no task file");
  std::string many;
  for (int key = 0; key < 1024; ++key) many += base::str_cat("k", key, ":\n");
  FRUGAL_EXPECT_OK(parse_task_yaml(many, "t").status());
  FRUGAL_EXPECT_ERROR(parse_task_yaml(many + "more:\n", "t"), kInvalid,
                      "t:1025:1: more than 1024 keys in one mapping");
}

}  // namespace
}  // namespace frugal::tasks
