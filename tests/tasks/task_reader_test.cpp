#include "tasks/task_reader.h"

#include "support/shared_data.h"

namespace frugal::tasks {
namespace {

TEST(TaskReader, GivesValuesOrWhatStandsForThem) {
  MergedTask task;
  task.files = {"t.yaml"};
  task.value = {{"name", "x"}, {"count", 3}, {"on", true}, {"list", {"a", "b"}}};
  TaskReader reader(task);
  EXPECT_EQ(reader.text(task.value, "", "name"), "x");
  EXPECT_EQ(reader.text(task.value, "", "none", "y"), "y");
  EXPECT_EQ(reader.integer(task.value, "", "count", 1, 0, 3), 3);
  EXPECT_TRUE(reader.truth(task.value, "", "on", false));
  EXPECT_EQ(reader.texts(task.value, "", "list"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(reader.field(task.value, "", "list", false, true), base::Json({"a", "b"}));
  FRUGAL_EXPECT_OK(reader.status());
}

TEST(TaskReader, RemembersWhatIsWrongWithItsPlace) {
  MergedTask task;
  task.files = {"in/t.yaml"};
  task.value = {{"count", 4}, {"m", {{"x", "y"}}}};
  task.places = {{"m.x", "b.yaml:7"}};
  TaskReader reader(task);
  EXPECT_EQ(reader.integer(task.value, "", "count", 1, 0, 3), 1);
  EXPECT_FALSE(reader.truth(task.value["m"], "m", "x", false));
  FRUGAL_EXPECT_ERROR(reader.status(), absl::StatusCode::kInvalidArgument,
                      "t.yaml: count is 4, expected a whole number from 0 to 3\n"
                      "b.yaml:7: x is \"y\", expected true or false");
  for (int i = 0; i < 40; ++i) reader.complain("m", "again");
  const std::string all(reader.status().message());
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 19);  // the first twenty
}

}  // namespace
}  // namespace frugal::tasks
