#include "energy/sysfs.h"

#include <fstream>

#include "support/shared_data.h"

namespace frugal::energy {
namespace {

TEST(Sysfs, ReadsWholeNumbersOnly) {
  const test::TemporaryFolder folder;
  const auto read = [&](const std::string& text) {
    std::ofstream(folder.path() / "x") << text;
    return read_count(folder.path() / "x");
  };
  EXPECT_EQ(read("42\n").value(), 42u);
  EXPECT_EQ(read("18446744073709551615").value(), 18446744073709551615u);
  for (const char* text : {"", "-1", "1.5", "1 2", "18446744073709551616"})
    FRUGAL_EXPECT_ERROR(read(text), absl::StatusCode::kDataLoss, "expected a whole number");
  EXPECT_EQ(read_count(folder.path() / "none").status().code(), absl::StatusCode::kNotFound);
}

TEST(Sysfs, ListsInOrderAndNothingWhereThereIsNone) {
  const test::TemporaryFolder folder;
  for (const char* name : {"b", "a", "c"}) std::ofstream(folder.path() / name).flush();
  const auto entries = entries_of(folder.path());
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].filename(), "a");
  EXPECT_TRUE(entries_of(folder.path() / "none").empty());
}

TEST(Sysfs, OnlyAMissingPermissionHasTheRemedy) {
  const absl::Status denied = absl::PermissionDeniedError("no");
  FRUGAL_EXPECT_ERROR(with_remedy(denied, "/x/y"), absl::StatusCode::kPermissionDenied,
                      "sudo chmod a+r /x/y");
  EXPECT_EQ(with_remedy(absl::DataLossError("x"), "/x/y"), absl::DataLossError("x"));
}

}  // namespace
}  // namespace frugal::energy
