#include "tasks/merged_task.h"

#include "support/shared_data.h"

namespace frugal::tasks {
namespace {

using Files = std::map<std::string, std::string>;

absl::StatusOr<MergedTask> merged(const Files& files) {
  return merge_includes("a.yaml",
                        [&](const std::filesystem::path& path) -> absl::StatusOr<std::string> {
                          const auto found = files.find(path.string());
                          if (found == files.end()) return base::not_found(path.string());
                          return found->second;
                        });
}

TEST(MergedTask, ReplacesAKeyWithAllThatIsBelowIt) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const MergedTask task,
                              merged({{"a.yaml", "include: b.yaml\nm:\n  y: 2\n"},
                                      {"b.yaml", "m: {x: 1}\nmore: 3\nm2: {x: 1}\n"}}));
  EXPECT_EQ(task.value.dump(), R"({"m":{"y":2},"more":3,"m2":{"x":1}})");
  const std::map<std::string, std::string, std::less<>> places = {
      {"m", "a.yaml:2"},    {"include", "a.yaml:1"}, {"m.y", "a.yaml:3"},
      {"more", "b.yaml:2"}, {"m2", "b.yaml:3"},      {"m2.x", "b.yaml:3"}};
  EXPECT_EQ(task.places, places);
  EXPECT_EQ(task.files, (std::vector<std::filesystem::path>{"a.yaml", "b.yaml"}));
}

TEST(MergedTask, RefusesCirclesAndCrowds) {
  FRUGAL_EXPECT_ERROR(merged({{"a.yaml", "include: b.yaml\n"}, {"b.yaml", "include: a.yaml\n"}}),
                      absl::StatusCode::kInvalidArgument, "a.yaml: includes itself");
  Files chain;
  for (char name = 'a'; name <= 'q'; ++name)
    chain[base::str_cat(std::string(1, name), ".yaml")] =
        base::str_cat("include: ", std::string(1, static_cast<char>(name + 1)), ".yaml\n");
  FRUGAL_EXPECT_ERROR(merged(chain), absl::StatusCode::kResourceExhausted,
                      "q.yaml: more than 16 files are included");
}

}  // namespace
}  // namespace frugal::tasks
