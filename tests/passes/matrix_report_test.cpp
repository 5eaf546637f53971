#include "passes/common/matrix_report.h"

#include <gmock/gmock.h>

#include "passes/fake_context.h"

namespace frugal::passes {
namespace {

using layerwise::MatrixRecord;

std::vector<MatrixRecord> with_dead_columns(const std::vector<std::optional<int64_t>>& counts) {
  std::vector<MatrixRecord> records;
  for (const std::optional<int64_t> count : counts) records.emplace_back().dead_columns = count;
  return records;
}

TEST(MatrixReport, DeadColumnsAreCounted) {
  test::TemporaryFolder folder;
  FakeRunContext context(folder.path(), std::nullopt);
  warn_of_dead_columns(context, with_dead_columns({0, std::nullopt}));
  EXPECT_TRUE(context.warnings.empty());
  warn_of_dead_columns(context, with_dead_columns({3, 0, 4}));
  ASSERT_EQ(context.warnings.size(), 1u);
  EXPECT_THAT(context.warnings[0], testing::HasSubstr("2 of 3 matrices"));
  EXPECT_THAT(context.warnings[0], testing::HasSubstr("7 in all"));
}

TEST(MatrixReport, SharesAndMeansAreOfTheMeasured) {
  test::TemporaryFolder folder;
  FakeRunContext context(folder.path(), std::nullopt);
  std::vector<MatrixRecord> records(3);
  records[0].squared_error = 1;
  records[0].error_after = 0.5;
  records[1].squared_error = 3;
  records[1].error_after = 0.25;
  report_layer_errors(context, records);
  const std::vector<base::Json>& rows = context.tables.at("layer_error");
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].at("share"), 0.25);
  EXPECT_EQ(rows[1].at("share"), 0.75);
  EXPECT_FALSE(rows[2].contains("share"));
  report_mean_error(context, records);
  EXPECT_EQ(context.value("mean_relative_error"), 0.375);
  report_mean_error(context, {});
  EXPECT_FALSE(context.statistics.back().value.has_value());
}

}  // namespace
}  // namespace frugal::passes
